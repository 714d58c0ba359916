"""Many equal vectors in a graph: nothing behind them is lost, and each of them is still found, filtered and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.ann.equal_vectors import CodeTable
from index.ann.recall import share_found
from index.config import GalleryConfig
from index.gallery import Gallery
from index.items import Filter, Item, NewItem
from index.opening import open_gallery, stats
from tests.index.ears import SPACE, unit

DIM, EQUAL, OTHERS = 16, 3000, 1000
CONFIG = GalleryConfig(neighbours="hnsw")
RANDOM = np.random.default_rng(3)
CENTRES = RANDOM.normal(size=(20, DIM))
MATRIX = unit(CENTRES[np.arange(OTHERS) % 20] + 0.3 * RANDOM.normal(size=(OTHERS, DIM)))
BURST = MATRIX[0]


def ears(matrix: np.ndarray, subject: str) -> list[NewItem]:
    return [NewItem(b"crop", vector, vector, subject) for vector in matrix]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("equal") / "gallery"


@pytest.fixture(scope="module")
def burst(folder: Path) -> Iterator[tuple[Gallery, list[Item], list[Item]]]:
    """A gallery with a graph, the items of a burst of equal vectors in it, and the others."""
    with open_gallery(folder, DIM, SPACE, CONFIG) as gallery:
        new = [*ears(np.repeat(BURST[None], EQUAL, axis=0), "burst"), *ears(MATRIX[1:], "other")]
        items = gallery.enrol(new)  # in one change: the maintenance thread builds a graph of all or of none
        gallery.maintain()
        yield gallery, items[:EQUAL], items[EQUAL:]


def test_every_other_vector_is_reached(burst: tuple[Gallery, list[Item], list[Item]]):
    gallery, _, others = burst
    status = gallery.spaces.status()[0]
    assert status.index[:4] == ("hnsw", 0, EQUAL + OTHERS - 1, 0)
    hits = gallery.search(MATRIX[1:], 1)
    assert [item.id for (hit,), item in zip(hits, others, strict=True) if hit.item.id != item.id] == []
    assert status.recall is not None
    assert status.recall.recall >= 0.97


def test_ties_are_found_filtered_and_deleted_one_by_one(burst: tuple[Gallery, list[Item], list[Item]]):
    gallery, equal, _ = burst
    assert {hit.item.subject for hit in gallery.search(BURST, 50)[0]} == {"burst"}
    chosen = tuple(item.id for item in equal[100:140])
    assert {hit.item.id for hit in gallery.search(BURST, 40, Filter(item_ids=chosen))[0]} == set(chosen)
    assert {hit.item.subject for hit in gallery.search(BURST, 50, Filter(subjects=("other",)))[0]} == {"other"}
    for item in equal[:20]:  # among them the one whose row stands for all
        gallery.delete(item.id)
    gallery.maintain()
    gallery.save()
    gone = {item.id for item in equal[:20]}
    hits = gallery.search(BURST, 50)[0]
    assert {hit.item.subject for hit in hits} == {"burst"}
    assert not gone & {hit.item.id for hit in hits}
    assert gallery.spaces.measure_recall(sample=100).recall >= 0.97


def test_a_restart_knows_them(burst: tuple[Gallery, list[Item], list[Item]], folder: Path):
    gallery, _, _ = burst
    before = gallery.search(BURST, 30), gallery.search(MATRIX[::50], 5)
    state = gallery.spaces.status()[0].index
    gallery.close()
    assert "equal" not in stats(folder)["spaces"][0]["snapshot"]
    with open_gallery(folder, DIM, SPACE, CONFIG) as again:
        assert again.spaces.status()[0].index == state
        assert (again.search(BURST, 30), again.search(MATRIX[::50], 5)) == before


def test_codes_are_matched_within_a_batch_and_with_what_is_stored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("index.ann.equal_vectors.RECENT", 2)
    codes = np.arange(24, dtype=np.uint8).reshape(6, 4)
    table = CodeTable(codes[:3])
    assert table.match(codes[[1, 3, 3, 4]], codes[:3]).tolist() == [1, 3, 3, 4]
    assert table.match(codes[[4, 5, 0, 5]], codes[:5]).tolist() == [4, 5, 0, 5]
    overwritten = codes.copy()
    overwritten[1] = 0  # a row whose vector was erased stands for nothing
    assert table.match(codes[[1]], overwritten).tolist() == [6]


def test_a_vector_as_near_as_the_last_expected_one_counts():
    expected = np.array([[0.9, 0.8, 0.8], [0.5, -2.0, -2.0]], dtype=np.float32)
    found = np.array([[0.9, 0.8, 0.8, 0.8], [0.4, -2.0, -2.0, -2.0]], dtype=np.float32)
    assert share_found(found, expected) == 0.5
    assert share_found(found, np.full((2, 3), -2.0, np.float32)) == 1.0
