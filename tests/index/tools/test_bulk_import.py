"""Bulk imports from every kind of source: idempotent by content, resumable, and one bad picture fails alone."""

from __future__ import annotations

import csv
import os
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.records.record import UnusableRow
from index.errors import ImportRefused
from index.gallery import Gallery
from index.items import NewItem
from index.tools.bulk_import import ImportOptions, ImportReport, import_pictures
from index.tools.sources import Picture, open_source
from tests.index.ears import embedding

COUNT = 12
ROWS = [
    {"path": f"ears/{n}.png", "subject": f"p{n % 3}", "side": ("left", "right", "")[n % 3], "tags": "a;b"[: n % 4],
     "x1": 1, "y1": 2, "x2": 30 + n, "y2": 40}
    for n in range(COUNT)
]  # fmt: skip


def write_pictures(folder: Path) -> None:
    (folder / "ears").mkdir(parents=True)
    for n in range(COUNT):
        (folder / "ears" / f"{n}.png").write_bytes(f"picture {n}".encode())


def write_table(folder: Path) -> Path:
    write_pictures(folder)
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    return folder / "metadata.csv"


def as_teacher_file(folder: Path) -> Path:
    write_pictures(folder)
    columns = {
        "image_paths": [row["path"] for row in ROWS],
        "bboxes": np.array([[row[name] for name in ("x1", "y1", "x2", "y2")] for row in ROWS]),
        "subjects": np.array([row["subject"] for row in ROWS]),
        "sides": [row["side"] or None for row in ROWS],
    }
    np.save(folder / "teacher.npy", columns, allow_pickle=True)  # type: ignore[arg-type]
    return folder / "teacher.npy"


def as_parquet(folder: Path) -> Path:
    folder.mkdir()
    rows = [row | {"image": f"picture {n}".encode()} for n, row in enumerate(ROWS)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "ears.parquet")
    return folder / "ears.parquet"


def as_tar(folder: Path) -> Path:
    write_table(folder)
    with tarfile.open(folder / "ears.tar.gz", "w:gz") as archive:
        archive.add(folder / "metadata.csv", "metadata.csv")
        archive.add(folder / "ears", "ears")
    return folder / "ears.tar.gz"


MAKERS: dict[str, Callable[[Path], Path]] = {
    "folder with a table": lambda folder: write_table(folder).parent,
    "csv": write_table,
    "npy": as_teacher_file,
    "parquet": as_parquet,
    "tar": as_tar,
}


def run(gallery: Gallery, source: Iterable[Picture | UnusableRow], **options: Any) -> ImportReport:
    """The whole import."""
    *_, report = import_pictures(gallery, source, embed, ImportOptions(**options))
    return report


def embed(pictures: Sequence[Picture]) -> list[NewItem | Exception]:
    """A stand-in for a model: the picture's text names its vector; "broken" pictures fail."""
    found: list[NewItem | Exception] = []
    for one in pictures:
        if one.data.startswith(b"broken"):
            found.append(ValueError("cannot be decoded"))
            continue
        vector = embedding(1, int(one.data.split()[-1]))
        found.append(NewItem(one.data, vector, vector, one.subject, one.side, one.tags, None, one.box))
    return found


@pytest.mark.parametrize("kind", MAKERS)
def test_source_gives_every_picture_with_what_is_known_of_it(tmp_path: Path, kind: str):
    found = {one.name: one for one in open_source(MAKERS[kind](tmp_path / "in")) if isinstance(one, Picture)}
    assert set(found) == {row["path"] for row in ROWS}
    fourth = found["ears/4.png"]
    assert (fourth.data, fourth.subject, fourth.side, fourth.box) == (b"picture 4", "p1", "right", (1, 2, 34, 40))
    assert found["ears/2.png"].side is None
    if kind != "npy":
        assert found["ears/3.png"].tags == ("a", "b")


def test_plain_folder_gives_pictures_without_labels(tmp_path: Path):
    write_pictures(tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    found = list(open_source(tmp_path / "in"))
    assert len(found) == COUNT
    assert {one.subject for one in found if isinstance(one, Picture)} == {None}


@pytest.mark.parametrize("kind", MAKERS)
def test_import_twice_is_import_once(gallery: Gallery, tmp_path: Path, kind: str):
    source = MAKERS[kind](tmp_path / "in")
    first = run(gallery, open_source(source), batch=5)
    assert (first.enrolled, first.known, first.failed) == (COUNT, 0, [])
    second = run(gallery, open_source(source), batch=7)
    assert (second.enrolled, second.known, second.seen) == (0, COUNT, COUNT)
    assert gallery.count() == COUNT
    assert {item.source for item in gallery.list(limit=100).items} == {row["path"] for row in ROWS}


def test_interrupted_import_goes_on_where_it_stopped(gallery: Gallery, tmp_path: Path):
    source = write_table(tmp_path / "in")

    for report in import_pictures(gallery, open_source(source), embed, ImportOptions(batch=3)):
        if report.enrolled >= 5:
            break
    assert gallery.count() == 6
    again = run(gallery, open_source(source), batch=3)
    assert (again.enrolled, again.known) == (COUNT - 6, 6)


def test_bad_pictures_and_rows_fail_alone_and_are_named(gallery: Gallery, tmp_path: Path):
    table = write_table(tmp_path / "in")
    (tmp_path / "in" / "ears" / "3.png").write_bytes(b"broken 3")
    (tmp_path / "in" / "ears" / "5.png").unlink()
    with table.open("a") as file:
        file.write("ears/6.png,p,upside,,1,2,3,4\nears/7.png,p,left,,9,2,3,4\nears/8.png,p,left,,1,2,three,4\n")
    report = run(gallery, open_source(table))
    assert report.enrolled == COUNT - 2
    assert sorted(one.name for one in report.failed) == [f"ears/{n}.png" for n in (3, 5, 6, 7, 8)]
    reasons = {one.name: one.reason for one in report.failed}
    assert "cannot be decoded" in reasons["ears/3.png"]
    assert "upside" in reasons["ears/6.png"]
    assert "x1 < x2" in reasons["ears/7.png"]


def test_same_picture_twice_in_a_batch_is_one_item_but_two_boxes_are_two(gallery: Gallery):
    one = Picture("a.png", b"picture 1")
    boxed = [Picture("a.png", b"picture 1", box=(0, 0, float(n), 9)) for n in (5, 6)]
    report = run(gallery, [one, one, *boxed, boxed[0]])
    assert (report.enrolled, report.known) == (3, 2)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/ear-teacher-was-here",)


@pytest.mark.parametrize(
    "value",
    [{"image_paths": [Evil()]}, {"image_paths": ["a"], "subjects": ["x", "y"]}, {"paths": ["a"]}, ["a"]],
    ids=["code", "length", "key", "list"],
)
def test_teacher_file_that_is_not_plain_is_refused_and_runs_nothing(tmp_path: Path, value: Any):
    holder = np.empty((), dtype=object)
    holder[()] = value
    np.save(tmp_path / "bad.npy", holder, allow_pickle=True)
    with pytest.raises(ImportRefused, match="bad.npy"):
        list(open_source(tmp_path / "bad.npy"))
    assert not Path("/tmp/ear-teacher-was-here").exists()


def test_array_of_numbers_is_no_teacher_file(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.ones(3))
    with pytest.raises(ImportRefused, match="float64"):
        list(open_source(tmp_path / "x.npy"))


def test_source_of_no_known_kind_is_refused(tmp_path: Path):
    (tmp_path / "x.docx").write_bytes(b"")
    for name in ("x.docx", "absent"):
        with pytest.raises(ImportRefused, match=name):
            open_source(tmp_path / name)
    (tmp_path / "t.csv").write_text("file,subject\n")
    with pytest.raises(ImportRefused, match="'path'"):
        list(open_source(tmp_path / "t.csv"))


def test_repeats_of_a_picture_that_cannot_be_decoded_are_failures_too(gallery: Gallery):
    broken, sound = Picture("a.png", b"broken 1"), Picture("b.png", b"picture 2")
    report = run(gallery, [broken, sound, replace(broken, name="copy of a.png"), sound])
    assert (report.enrolled, report.known, report.seen) == (1, 1, 4)
    assert [row.name for row in report.failed] == ["a.png", "copy of a.png"]
    assert len(run(gallery, [broken]).failed) == 1


def test_labels_that_were_mended_are_taken_over_on_request(gallery: Gallery):
    before = [Picture(f"{n}.png", f"picture {n}".encode(), "old" if n else None, "left", ("t",)) for n in range(3)]
    run(gallery, before)
    mended = [
        replace(before[0], subject="Zoe\u0308", side=None, tags=()),
        replace(before[1], side="right"),
        before[2],
        Picture("3.png", b"picture 3", "new"),
    ]
    assert run(gallery, mended).updated == 0
    report = run(gallery, mended, update_labels=True)
    assert (report.enrolled, report.known, report.updated) == (0, 4, 2)
    items = {item.source: item for item in gallery.list().items}
    assert (items["0.png"].subject, items["0.png"].side, items["0.png"].tags) == ("Zo\u00eb", "left", ("t",))
    assert (items["1.png"].subject, items["1.png"].side) == ("old", "right")
    assert items["2.png"].subject == "old"
    assert run(gallery, mended, update_labels=True).updated == 0


def test_a_file_name_that_cannot_be_stored_ends_no_import(gallery: Gallery):
    names = ["9.00.00\u202fAM.png", "tab\there.png", "\udcff.png", "x" * 3000]
    report = run(gallery, [Picture(name, f"picture {n}".encode()) for n, name in enumerate(names)])
    assert (report.enrolled, report.failed) == (4, [])
    assert gallery.list().items[0].source == names[0]
