"""Snapshots are whole or absent; a bad one is set aside, said so, and rebuilt from the truth."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest

from index.ann.snapshot import INDEX, MANIFEST, Snapshots, Stamp
from index.opening import open_gallery
from tests.index.ears import DIM, OTHER_SPACE, SPACE, embedding, new_item

STAMP = Stamp(SPACE, "epoch", 5, DIM)


def small_index() -> faiss.Index:
    index = faiss.IndexIDMap(faiss.IndexFlatIP(DIM))
    index.add_with_ids(np.stack([embedding(n, n) for n in range(4)]), np.arange(1, 5))
    return index


def filled(folder: Path) -> Path:
    """A gallery of 30 items, closed; returns the folder of its one snapshot."""
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(30)])
    (generation,) = Snapshots(folder / "neighbours" / SPACE).generations()
    return generation


def truncate(generation: Path) -> None:
    data = (generation / INDEX).read_bytes()
    (generation / INDEX).write_bytes(data[: len(data) // 2])


def flip_a_bit(generation: Path) -> None:
    data = bytearray((generation / INDEX).read_bytes())
    data[-100] ^= 1
    (generation / INDEX).write_bytes(bytes(data))


def edit(name: str, value: object) -> Callable[[Path], None]:
    def change(generation: Path) -> None:
        facts = json.loads((generation / MANIFEST).read_text())
        (generation / MANIFEST).write_text(json.dumps(facts | {name: value}))

    return change


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "one bit flipped": flip_a_bit,
    "index absent": lambda generation: (generation / INDEX).unlink(),
    "manifest absent": lambda generation: (generation / MANIFEST).unlink(),
    "manifest broken": lambda generation: (generation / MANIFEST).write_text("{"),
    "manifest a list": lambda generation: (generation / MANIFEST).write_text("[]"),
    "another space": edit("space_id", OTHER_SPACE),
    "another life of the truth": edit("epoch", "0" * 32),
    "from the future": edit("sequence", 10**9),
    "format of tomorrow": edit("format", 99),
    "another width": edit("dim", DIM + 1),
    "wrong count": edit("count", 7),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_unusable_snapshot_is_set_aside_and_rebuilt(folder: Path, name: str, caplog: pytest.LogCaptureFixture):
    DAMAGE[name](filled(folder))
    with caplog.at_level(logging.WARNING), open_gallery(folder, DIM, SPACE) as gallery:
        assert len(gallery.search(embedding(1, 1), 100)[0]) == 30
        assert gallery.search(embedding(1, 1))[0][0].similarity == pytest.approx(1.0)
    assert "set aside" in caplog.text
    assert list((folder / "neighbours" / SPACE).glob("set-aside-*"))


def test_older_generation_serves_when_the_newest_is_broken(folder: Path):
    filled(folder)
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(30, 40)])
    older, newest = Snapshots(folder / "neighbours" / SPACE).generations()
    truncate(newest)
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert len(gallery.search(embedding(1, 1), 100)[0]) == 40
    assert older.exists()


def test_snapshot_that_lies_about_its_contents_is_rebuilt(folder: Path):
    generation = filled(folder)
    liar = Snapshots(folder / "neighbours" / SPACE)
    facts = json.loads((generation / MANIFEST).read_text())
    liar.write(small_index(), Stamp(SPACE, facts["epoch"], facts["sequence"], DIM), 0, {})
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert len(gallery.search(embedding(1, 1), 100)[0]) == 30


def test_half_written_snapshot_is_swept_away(tmp_path: Path):
    (tmp_path / "writing-123").mkdir()
    (tmp_path / "writing-123" / INDEX).write_bytes(b"half")
    assert Snapshots(tmp_path).load(STAMP) is None
    assert list(tmp_path.iterdir()) == []


def test_two_generations_are_kept(tmp_path: Path):
    snapshots = Snapshots(tmp_path)
    for sequence in (1, 2, 3, 3):
        snapshots.write(small_index(), Stamp(SPACE, "epoch", sequence, DIM), 0, {})
    assert [int(path.name) for path in snapshots.generations()] == [2, 3]


def test_generations_older_than_a_deletion_are_removed(tmp_path: Path):
    snapshots = Snapshots(tmp_path)
    snapshots.write(small_index(), Stamp(SPACE, "epoch", 1, DIM), 0, {})
    snapshots.write(small_index(), Stamp(SPACE, "epoch", 9, DIM), 8, {})
    assert [int(path.name) for path in snapshots.generations()] == [9]


def test_deleted_vector_is_in_no_snapshot(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        items = gallery.enrol([new_item(n) for n in range(30)])
        gallery.save()
        gallery.delete(items[3].id)
    (generation,) = Snapshots(folder / "neighbours" / SPACE).generations()
    assert embedding(3, 3).tobytes() not in (generation / INDEX).read_bytes()
