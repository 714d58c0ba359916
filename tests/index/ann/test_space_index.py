"""Neighbours in the background: rebuilt when outgrown, filled up, erased, saved, loaded, measured."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest

from index.ann import space_index
from index.ann.snapshot import INDEX, Snapshots
from index.config import GalleryConfig
from index.gallery import Gallery
from index.items import Filter, NewItem
from index.neighbours import Kind, State
from index.opening import open_gallery
from tests.index.ears import DIM, SPACE, embedding, new_item

COUNT = 1100
MATRIX = np.stack([embedding(n % 10, n) for n in range(COUNT)])


@pytest.fixture(params=["hnsw", "ivf"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
def large(folder: Path, kind: Kind) -> Iterator[Gallery]:
    """A gallery whose vectors are in an approximate part."""
    with open_gallery(folder, DIM, SPACE, GalleryConfig(neighbours=kind)) as gallery:
        gallery.enrol([new_item(n) for n in range(COUNT)])
        gallery.maintain()
        yield gallery


def state(gallery: Gallery) -> State:
    return gallery.spaces.status()[0].index


def overlap(gallery: Gallery, query: np.ndarray, k: int = 10) -> float:
    """Share of the truly nearest live items that are found."""
    live = {item.source for page in pages(gallery) for item in page}
    order = [n for n in np.argsort(-(MATRIX @ query)) if f"ear_{n}.png" in live][:k]
    found = {hit.item.source for hit in gallery.search(query, k)[0]}
    return len(found & {f"ear_{n}.png" for n in order}) / len(order)


def pages(gallery: Gallery) -> Iterator[tuple]:
    after = None
    while True:
        page = gallery.list(after, 1000)
        yield page.items
        after = page.next_cursor
        if after is None:
            return


def test_large_gallery_moves_into_an_approximate_index_and_finds_the_same(large: Gallery, kind: Kind):
    assert state(large)[:4] == (kind, 0, COUNT, 0)
    assert np.mean([overlap(large, embedding(s, 9000 + s)) for s in range(10)]) >= 0.95


def test_similarities_are_exact_whatever_the_index(large: Gallery):
    query = embedding(3, 9003)
    for hit in large.search(query, 20)[0]:
        vectors = large.vectors(hit.item.id)
        assert vectors is not None
        assert hit.similarity == pytest.approx(float(vectors.embedding @ query), abs=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_filtered_search_of_a_large_index_leaves_no_place_empty(large: Gallery, share: float):
    chosen = [item.id for page in pages(large) for item in page][: int(COUNT * share)]
    found = large.search(embedding(1, 1), len(chosen), Filter(item_ids=tuple(chosen)))[0]
    assert {hit.item.id for hit in found} == set(chosen)


def test_deleted_items_never_resurface(large: Gallery):
    for subject in ("s1", "s2"):
        large.delete_subject(subject)
    assert state(large).dead == COUNT // 5
    assert {hit.item.subject for hit in large.search(embedding(1, 1), 1000)[0]} == {f"s{n}" for n in (0, *range(3, 10))}
    large.delete_subject("s3")
    large.maintain()
    assert state(large).dead == 0
    assert len(large.search(embedding(3, 3), 1000)[0]) == COUNT * 7 // 10


def test_new_items_are_found_at_once_and_taken_in_later(large: Gallery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(space_index, "ABSORB_AT", 50)
    items = large.enrol([new_item(n) for n in range(5000, 5060)])
    assert large.search(embedding(7, 5007))[0][0].item == items[7]
    assert state(large)[1:3] == (60, COUNT)
    large.delete(items[8].id)
    large.maintain()
    assert state(large)[1:3] == (0, COUNT + 59)
    assert large.search(embedding(7, 5007))[0][0].item == items[7]
    assert items[8] not in [hit.item for hit in large.search(embedding(8, 5008), 50)[0]]


def test_restart_loads_the_approximate_index_and_replays_what_it_lacks(large: Gallery, kind: Kind, folder: Path):
    large.save()
    gone = large.search(embedding(4, 4))[0][0].item
    late = large.enrol([new_item(n) for n in range(5000, 5020)])
    large.delete(gone.id)
    before = large.search(embedding(4, 4), 50)
    large._maintenance.stop()
    large._lock.release()  # as if the process had been killed: nothing is saved
    with open_gallery(folder, DIM, SPACE, GalleryConfig(neighbours=kind)) as again:
        assert state(again)[:4] == (kind, 20, COUNT, 1)
        assert again.search(embedding(4, 4), 50) == before
        assert again.search(embedding(9, 5009))[0][0].item == late[9]
        assert again.spaces.status()[0].recall == large.spaces.status()[0].recall


def test_nothing_of_a_deleted_vector_stays_in_a_saved_index(folder: Path, kind: Kind):
    alone = np.full(DIM, -1.0, np.float32) * np.linspace(1, 3, DIM).astype(np.float32)
    config = GalleryConfig(neighbours=kind)
    with open_gallery(folder, DIM, SPACE, config) as gallery:
        # All at once: maintenance that begins in the background between two calls would leave the last one out.
        *_, item = gallery.enrol([*(new_item(n) for n in range(COUNT)), NewItem(b"x", alone, alone)])
        gallery.maintain()
        large = gallery._live.index(None).neighbours._large
        assert large is not None
        codes = codes_of(large.index)
        gallery.delete(item.id)
        gallery.save()
        assert codes - codes_of(large.index)
    (generation,) = Snapshots(folder / "neighbours" / SPACE).generations()
    data = (generation / INDEX).read_bytes()
    for code in codes - codes_of(large.index):
        assert code not in data


def codes_of(index) -> set[bytes]:
    """Every code of an approximate index as bytes."""
    inner = faiss.downcast_index(index.index)
    if isinstance(inner, faiss.IndexIDMap):
        inner = faiss.downcast_index(inner.index)
    if hasattr(inner, "storage"):
        storage = faiss.downcast_index(inner.storage)
        rows = faiss.vector_to_array(storage.codes).reshape(storage.ntotal, -1)
        return {row.tobytes() for row in rows}
    lists, size = inner.invlists, inner.code_size
    found = set()
    for n in range(lists.nlist):
        if lists.list_size(n):
            codes = faiss.rev_swig_ptr(lists.get_codes(n), lists.list_size(n) * size).reshape(-1, size)
            found |= {row.tobytes() for row in codes}
    return found


def test_shrunken_gallery_goes_back_to_exact_search(folder: Path):
    config = GalleryConfig(exact_items=1050, memory_bytes=1 << 40)
    with open_gallery(folder, DIM, SPACE, config) as gallery:
        items = gallery.enrol([new_item(n) for n in range(COUNT)])
        gallery.maintain()
        assert state(gallery).kind == "hnsw"
        for subject in range(5):
            gallery.delete_subject(f"s{subject}")
        for item in items[5:300:10]:
            gallery.delete(item.id)
        gallery.maintain()
        assert state(gallery) == State("exact", 520, 0, 0, 0)
        assert overlap(gallery, embedding(1, 1), 100) == 1.0


def test_recall_is_measured_on_the_gallerys_own_vectors(large: Gallery, kind: Kind):
    report = large.spaces.measure_recall(sample=60)
    assert (report.kind, report.items, report.sample, report.depth) == (kind, COUNT, 60, 10)
    assert 0.9 <= report.recall <= 1.0
    assert large.spaces.status()[0].recall == report


def test_exact_gallery_recalls_everything(gallery: Gallery):
    gallery.enrol([new_item(n) for n in range(100)])
    report = gallery.spaces.measure_recall(sample=20)
    assert (report.kind, report.recall) == ("exact", 1.0)


def test_stopped_rebuild_leaves_what_was_there(folder: Path):
    with open_gallery(folder, DIM, SPACE, GalleryConfig(neighbours="hnsw")) as gallery:
        gallery._maintenance.stop()  # so many changes wake it, and it would rebuild too
        gallery.enrol([new_item(n) for n in range(COUNT)])
        gallery.maintain(stop=lambda: True)
        assert state(gallery).kind == "exact"
        assert overlap(gallery, embedding(1, 1)) == 1.0


def test_housekeeping_that_fails_is_logged_and_tried_again(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    calls = []

    def fail(stop) -> None:
        calls.append(stop)
        raise OSError("no space left")

    monkeypatch.setattr(gallery._maintenance, "_work", fail)
    with caplog.at_level(logging.ERROR):
        gallery._maintenance.note(10_000)
        while not calls:
            pass
        gallery._maintenance.note(10_000)
        while len(calls) < 2:
            pass
    assert "tried again" in caplog.text
    assert gallery.enrol([new_item(1)])


def test_background_thread_builds_what_is_due(folder: Path):
    with open_gallery(folder, DIM, SPACE, GalleryConfig(neighbours="ivf")) as gallery:
        gallery.enrol([new_item(n) for n in range(COUNT)])
        while state(gallery).kind != "ivf":
            pass
        assert overlap(gallery, embedding(1, 1)) >= 0.9


def test_snapshots_rest_longer_than_they_take(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def saved() -> int:
        return len(list((folder / "neighbours" / SPACE).glob("[0-9]*")))

    with open_gallery(folder, DIM, SPACE, GalleryConfig(snapshot_changes=1)) as gallery:
        gallery.enrol([new_item(1)])
        gallery.maintain()
        monkeypatch.setattr("index.ann.space_index.REST", 1e9)
        gallery.enrol([new_item(2)])
        gallery.maintain()
        assert saved() == 1
        monkeypatch.setattr("index.ann.space_index.REST", 0)
        gallery.maintain()
        assert saved() == 2
