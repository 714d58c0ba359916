"""An archive can be read by anything and restores to an equal gallery, in every space."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from index.errors import BackupRefused
from index.gallery import Gallery
from index.items import Item
from index.opening import open_gallery
from index.tools.archive import MANIFEST, export
from index.tools.archive_restore import restore
from index.tools.duplicates import find_duplicates
from tests.index.ears import DIM, OTHER_SPACE, SPACE, embedding, new_item
from tests.index.test_promotion import OTHER_DIM, fill_all


@pytest.fixture
def items(gallery: Gallery) -> list[Item]:
    found = gallery.enrol([new_item(n, None if n == 3 else "", "left", ("a", "b")[: n % 3]) for n in range(20)])
    gallery.spaces.stage(OTHER_SPACE, OTHER_DIM)
    fill_all(gallery)
    (late,) = gallery.enrol([new_item(20)])
    gallery.delete(found.pop(5).id)
    return [*found, late]


def test_archive_restores_to_an_equal_gallery(gallery: Gallery, items: list[Item], tmp_path: Path):
    assert export(gallery._truth, tmp_path / "out") == 20
    assert restore(tmp_path / "out", tmp_path / "again") == 20
    with open_gallery(tmp_path / "again", DIM, SPACE) as again:
        for item in items:
            found = again.get(item.id)
            assert {**vars(found), "seq": item.seq} == vars(item)
            assert again.crop(item.id) == gallery.crop(item.id)
            for space_id in (SPACE, OTHER_SPACE):
                mine, theirs = gallery.vectors(item.id, space_id), again.vectors(item.id, space_id)
                assert (mine is None) == (theirs is None)
                if mine is not None and theirs is not None:
                    np.testing.assert_array_equal(mine.mu, theirs.mu)
                    np.testing.assert_allclose(mine.embedding, theirs.embedding, atol=1e-7)
        assert {s.space.space_id: (s.items, s.lacking) for s in again.spaces.status()} == {
            SPACE: (20, 0),
            OTHER_SPACE: (19, 1),
        }


def test_archive_is_plain_parquet_and_pictures(gallery: Gallery, items: list[Item], tmp_path: Path):
    export(gallery._truth, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "items.parquet").to_pylist()
    assert [row["id"] for row in table] == [item.id for item in items]
    assert (tmp_path / "out" / table[0]["crop"]).read_bytes() == b"picture 0"
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0, "ears are biometric data"
    vectors = pq.read_table(tmp_path / "out" / "vectors" / f"{SPACE}.parquet").to_pylist()
    np.testing.assert_allclose(vectors[0]["embedding"], embedding(0, 0), atol=1e-7)


def test_empty_gallery_goes_there_and_back(gallery: Gallery, tmp_path: Path):
    assert export(gallery._truth, tmp_path / "out") == 0
    assert restore(tmp_path / "out", tmp_path / "again") == 0


def test_incomplete_archive_is_not_restored(gallery: Gallery, items: list[Item], tmp_path: Path):
    export(gallery._truth, tmp_path / "out")
    facts = json.loads((tmp_path / "out" / MANIFEST).read_text())
    (tmp_path / "out" / MANIFEST).write_text(json.dumps(facts | {"items": 21}))
    with pytest.raises(BackupRefused, match="damaged"):
        restore(tmp_path / "out", tmp_path / "again")
    assert not (tmp_path / "again" / "gallery.sqlite").exists()
    (tmp_path / "out" / MANIFEST).unlink()
    with pytest.raises(BackupRefused, match="no complete archive"):
        restore(tmp_path / "out", tmp_path / "again")


def test_nothing_existing_is_overwritten(gallery: Gallery, folder: Path, tmp_path: Path):
    export(gallery._truth, tmp_path / "out")
    with pytest.raises(BackupRefused, match="exists"):
        export(gallery._truth, tmp_path / "out")
    with pytest.raises(BackupRefused, match="already holds"):
        restore(tmp_path / "out", folder)


def test_duplicates_are_told_once_with_the_earlier_first(gallery: Gallery):
    first = gallery.enrol([new_item(n) for n in range(10)])
    again = gallery.enrol([new_item(4)])[0]
    (found,) = find_duplicates(gallery, 0.999)
    assert (found.earlier, found.later, found.same_picture) == (first[4], again, True)
    assert found.similarity == pytest.approx(1.0)
