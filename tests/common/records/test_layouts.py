"""Every layout that people keep pictures of ears in becomes the same records."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest

from common.records.layout import ReadOptions
from common.records.reader import LAYOUT_NAMES, read_records
from common.records.record import RecordsError
from demo.datasets import write_ami, write_awe

PICTURE = b"bytes of a picture"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PICTURE)
    return folder


def subjects(found):
    return {record.name: record.subject for record in found.records}


def test_folder_a_person_gives_subjects_and_says_so(tmp_path):
    found = read_records(touch(tmp_path, "ann/01.png", "ann/02.png", "ben/01.png"))
    assert subjects(found) == {"ann/01.png": "ann", "ann/02.png": "ann", "ben/01.png": "ben"}
    assert str(found) == f"{tmp_path}: read as layout 'people' (a folder a person): 3 pictures, 2 people"


def test_folders_named_as_splits_and_sides_are_no_people(tmp_path):
    touch(tmp_path, "train/ann/L/1.png", "Valid/ben/right/1.png", "test/cat/1.png")
    records = {record.subject: record for record in read_records(tmp_path).records}
    assert {name: record.split for name, record in records.items()} == {"ann": "train", "ben": "Valid", "cat": "test"}
    assert {name: record.side for name, record in records.items()} == {"ann": "left", "ben": "right", "cat": None}


def test_pictures_of_one_folder_have_no_subject(tmp_path):
    found = read_records(touch(tmp_path, "crops/a.png", "crops/b.png"))
    assert set(subjects(found).values()) == {None}
    assert "no subjects known" in str(found)


def test_layout_may_be_named_and_an_unknown_one_is_refused_with_those_there_are(tmp_path):
    touch(tmp_path, "ann/01.png", "ben/01.png")
    assert set(subjects(read_records(tmp_path, ReadOptions("folder"))).values()) == {None}
    with pytest.raises(RecordsError, match="--layout 'imagenet': must be one of auto, csv"):
        read_records(tmp_path, ReadOptions("imagenet"))
    assert {"auto", "awe", "ami", "pattern", "people", "folder"} <= set(LAYOUT_NAMES)


def test_file_names_give_subjects_sides_and_attributes_by_a_pattern(tmp_path):
    touch(tmp_path, "7_front_l_ear.jpg", "8_up_R_ear.jpg", "notes.jpg")
    pattern = r"(?P<subject>\d+)_(?P<view>\w+)_(?P<side>[lrLR])_ear"
    found = read_records(tmp_path, ReadOptions(subject_pattern=pattern))
    first, second = found.records
    assert (first.subject, first.side, first.attributes["view"]) == ("7", "left", "front")
    assert (second.subject, second.side) == ("8", "right")
    assert [str(row) for row in found.unusable] == [f"notes.jpg: its name does not have --subject-pattern {pattern}"]


@pytest.mark.parametrize(
    ("pattern", "words"), [(r"(?P<person>\d+)", r"no group \(\?P<subject>"), (r"(\d+", "no regular expression")]
)
def test_pattern_that_cannot_name_a_person_is_refused(pattern, words):
    with pytest.raises(RecordsError, match=f"--subject-pattern .*{words}"):
        ReadOptions(subject_pattern=pattern)


def test_ami_is_recognised_and_its_left_view_is_no_left_ear(tmp_path):
    found = read_records(write_ami(tmp_path / "ami", people=3))
    assert (found.layout.name, len(found.records), found.people) == ("ami", 21, 3)
    sides = {record.attributes["view"]: record.side for record in found.records}
    assert sides == {view: "right" for view in ("front", "left", "right", "up", "down", "zoom")} | {"back": "left"}


def test_awe_is_recognised_with_sides_and_attributes_and_a_missing_picture_is_a_record(tmp_path):
    folder = write_awe(tmp_path / "awe", people=3, pictures=4)
    (folder / "002" / "03.png").unlink()
    found = read_records(folder)
    assert (found.layout.name, len(found.records), found.people) == ("awe", 12, 3)
    record = found.records[0]
    said = json.loads((folder / "001" / "annotations.json").read_text())["data"]["01"]
    assert record.side == {"l": "left", "r": "right"}[said["d"]]
    assert {"overlap", "accessories", "hPitch", "hYaw", "hRoll", "gender", "ethnicity"} <= set(record.attributes)
    assert [r.name for r in found.records if not r.place.exists()] == ["002/03.png"]


def test_annotations_that_cannot_be_read_cost_their_file_only(tmp_path):
    folder = write_awe(tmp_path / "awe", people=2, pictures=2)
    (folder / "001" / "annotations.json").write_text("{broken")
    found = read_records(folder)
    assert len(found.records) == 4
    assert str(found.unusable[0]).startswith("001/annotations.json: no annotations as AWE has them")


def table(folder: Path, content: str, encoding: str = "utf-8") -> Path:
    touch(folder, "a.png", "b.png")
    (folder / "metadata.csv").write_bytes(content.encode(encoding))
    return folder / "metadata.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_table_is_read_in_any_usual_encoding_and_with_any_usual_delimiter(tmp_path, encoding, delimiter, caplog):
    rows = [("path", "subject", "side"), ("a.png", "J\u00fcrgen", "L"), ("b.png", "ann", "Right")]
    file = table(tmp_path, "\r\n".join(delimiter.join(row) for row in rows), encoding)
    first, second = read_records(file).records
    assert (first.subject, first.side, second.side) == ("J\u00fcrgen", "left", "right")
    if encoding == "cp1252":
        assert caplog.messages == [
            f"{file}: line 2 is not UTF-8; the table is read as cp1252 (Windows, Western European)"
        ]


def test_table_in_no_known_encoding_is_refused_with_file_line_and_encoding(tmp_path):
    file = table(tmp_path, "path,subject\n")
    file.write_bytes(b"path,subject\na.png,ann\nb.png,\x81\n")
    with pytest.raises(RecordsError, match=r"metadata\.csv: line 3 is not UTF-8, and line 3 is not cp1252 .byte 0x81"):
        read_records(file)


def test_short_and_long_rows_fail_alone_with_their_line(tmp_path):
    file = table(tmp_path, "path,subject,side\na.png,ann,l\nb.png\nb.png,ben,r,more\n")
    found = read_records(file)
    assert subjects(found) == {"a.png": "ann"}
    assert [row.name.removeprefix(str(file)) for row in found.unusable] == [": line 3 (b.png)", ": line 4 (b.png)"]
    assert [row.reason for row in found.unusable] == ["has 1 of 3 columns", "has 4 of 3 columns"]


def test_hugging_faces_image_folder_and_any_other_column_is_read(tmp_path):
    file = table(tmp_path, "file_name,subject,camera\na.png,ann,phone\n")
    (record,) = read_records(file).records
    assert (record.path, record.attributes) == (tmp_path / "a.png", {"camera": "phone"})


def test_teacher_file_may_hold_paths_of_pathlib(tmp_path):
    touch(tmp_path, "a.png")
    np.save(tmp_path / "t.npy", {"image_paths": [Path("a.png")], "sides": ["R"]})  # type: ignore[arg-type]
    (record,) = read_records(tmp_path / "t.npy").records
    assert (record.read(), record.side) == (PICTURE, "right")


def test_hugging_faces_image_column_is_read_from_its_bytes_or_its_path(tmp_path):
    touch(tmp_path, "b.png")
    images = [{"bytes": PICTURE, "path": "a.png"}, {"bytes": None, "path": "b.png"}, {"bytes": None, "path": None}]
    parquet.write_table(pyarrow.table({"image": images, "subject": [1, 2, 3]}), tmp_path / "ears.parquet")
    first, second, third = read_records(tmp_path / "ears.parquet").records
    assert (first.name, first.subject, first.read(), second.read()) == ("a.png", "1", PICTURE, PICTURE)
    with pytest.raises(ValueError, match="neither an image nor a path"):
        third.read()


def pack(path: Path, files: dict[str, bytes], mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(("name", "mode"), [("ears.tar", "w"), ("ears.tar.gz", "w:gz"), ("ears.tar.xz", "w:xz")])
def test_tables_may_lie_anywhere_in_a_tar_also_behind_their_pictures(tmp_path, name, mode):
    files = {
        "one/a.png": b"a",
        "one/metadata.csv": b"path,subject\na.png,ann\n",
        "two/b.png": b"b",
        "two/metadata.csv": b"path,subject\nb.png,ben\nlost.png,cat\n",
    }
    found = read_records(pack(tmp_path / name, files, mode))
    assert subjects(found) == {"one/a.png": "ann", "two/b.png": "ben", "two/lost.png": "cat"}
    assert [record.read() for record in found.records[:2]] == [b"a", b"b"]
    assert [record.place.exists() for record in found.records] == [True, True, False]


def test_folder_a_person_is_read_from_a_tar_too(tmp_path):
    found = read_records(pack(tmp_path / "ears.tar", {"ann/1.png": b"1", "ben/1.png": b"2"}, "w"))
    assert (found.layout.name, found.people) == ("people", 2)


def test_twins_of_macos_and_hidden_files_are_passed_over(tmp_path):
    touch(tmp_path, "ann/1.png", "ben/1.png", "ann/._1.png", "__MACOSX/ann/1.png", ".cache/x.png")
    assert list(subjects(read_records(tmp_path))) == ["ann/1.png", "ben/1.png"]


def test_file_names_that_are_no_utf8_are_read(tmp_path):
    name = os.fsdecode(b"J\xfcrgen.png")
    touch(tmp_path, name)
    (record,) = read_records(tmp_path).records
    assert record.read() == PICTURE


def test_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    touch(tmp_path, "ann/1.png", "ben/1.png", "cat/1.png")
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("ben"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = read_records(tmp_path)
    assert found.people == 2
    assert "folder cannot be read" in found.unusable[0].reason
    assert found.unusable[0].name.endswith("ben")


def test_link_to_a_folder_is_followed_and_one_that_leads_up_is_not(tmp_path):
    touch(tmp_path / "elsewhere", "1.png")
    touch(tmp_path / "in", "ann/1.png")
    (tmp_path / "in" / "ben").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "ann" / "up").symlink_to(tmp_path / "in")
    assert list(subjects(read_records(tmp_path / "in"))) == ["ann/1.png", "ben/1.png"]


def test_remote_folder_is_read_by_fsspec():
    import fsspec

    files = fsspec.filesystem("memory")
    files.pipe_file("/people/ann/1.png", PICTURE)
    files.pipe_file("/people/ben/1.png", PICTURE)
    found = read_records("memory://people")
    assert (found.people, found.records[0].read()) == (2, PICTURE)
    files.rm("/people", recursive=True)
