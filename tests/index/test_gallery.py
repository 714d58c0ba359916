"""The gallery as its callers see it, on a real SQLite file and real FAISS."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.errors import BadFilter, BadItem, BadVector, GalleryError, ItemNotFound, SpaceMismatch
from index.gallery import Gallery
from index.items import Filter, NewItem, Side, Vectors
from index.opening import open_gallery
from tests.index.ears import DIM, OTHER_SPACE, SPACE, embedding, new_item, unit


def test_enrolled_item_comes_back_whole(gallery: Gallery):
    new = new_item(3, side="right", tags=("studio", "2024"))
    (item,) = gallery.enrol([new])
    assert gallery.get(item.id) == item
    assert (item.subject, item.side, item.tags, item.box) == ("s3", "right", ("studio", "2024"), new.box)
    assert gallery.crop(item.id) == new.crop
    vectors = gallery.vectors(item.id)
    assert vectors is not None
    np.testing.assert_array_equal(vectors.mu, new.mu)
    np.testing.assert_allclose(vectors.embedding, new.embedding, atol=1e-7)


def test_nearest_items_are_those_of_exact_search(gallery: Gallery):
    items = gallery.enrol([new_item(n) for n in range(200)])
    matrix = np.stack([embedding(n % 10, n) for n in range(200)])
    queries = np.stack([embedding(s, 5000 + s) for s in range(10)])
    for row, hits in enumerate(gallery.search(queries, 7)):
        expected = np.argsort(-(matrix @ queries[row]))[:7]
        assert [hit.item.id for hit in hits] == [items[n].id for n in expected]
        np.testing.assert_allclose([h.similarity for h in hits], np.sort(matrix @ queries[row])[::-1][:7], atol=1e-6)


def test_query_of_any_length_gives_cosines(gallery: Gallery):
    gallery.enrol([new_item(1)])
    assert gallery.search(embedding(1, 1) * 250.0)[0][0].similarity == pytest.approx(1.0)


def test_threshold_cuts_off_and_k_bounds(gallery: Gallery):
    gallery.enrol([new_item(n) for n in range(50)])
    hits = gallery.search(embedding(4, 999), 50, threshold=0.5)[0]
    assert 0 < len(hits) < 50
    assert all(hit.similarity >= 0.5 and hit.item.subject == "s4" for hit in hits)
    assert len(gallery.search(embedding(4, 999), 3)[0]) == 3
    assert len(gallery.search(embedding(4, 999), 500)[0]) == 50


def test_empty_gallery_finds_nothing(gallery: Gallery):
    assert gallery.search(np.ones((2, DIM)), 5) == [[], []]
    assert gallery.list().items == ()
    assert gallery.enrol([]) == []


FILTERS = [
    Filter(subjects=("s1", "s2")),
    Filter(sides=(None,)),
    Filter(sides=("left", None)),
    Filter(tags=("a",)),
    Filter(tags=("a", "b")),
    Filter(exclude_subjects=("s1", "s3")),
    Filter(subjects=("s4",), sides=("right",), tags=("b",)),
    Filter(subjects=("nobody",)),
    Filter(tags=("nothing",)),
]


@pytest.mark.parametrize("asked", FILTERS, ids=str)
def test_search_and_list_mean_the_same_by_a_filter(gallery: Gallery, asked: Filter):
    sides: tuple[Side | None, ...] = (None, "left", "right")
    tags = ((), ("a",), ("b", "a"), ("b",))
    gallery.enrol([new_item(n, None if n % 17 == 0 else "", sides[n % 3], tags[n % 4]) for n in range(120)])
    listed = {item.id for item in gallery.list(limit=1000, filter=asked).items}
    found = {hit.item.id for hit in gallery.search(embedding(1, 1), 1000, asked)[0]}
    assert found == listed
    assert gallery.count(asked) == len(listed)


def test_filter_by_item_ids_is_evaluated_inside_the_search(gallery: Gallery):
    items = gallery.enrol([new_item(n) for n in range(100)])
    furthest = gallery.search(embedding(1, 1), 100)[0][-1].item
    hits = gallery.search(embedding(1, 1), 1, Filter(item_ids=(furthest.id, "ear_unknown")))[0]
    assert [hit.item.id for hit in hits] == [furthest.id]
    assert gallery.search(embedding(1, 1), 1, Filter(item_ids=("ear_unknown",))) == [[]]
    assert len(items) == 100


def test_pages_hold_every_item_once(gallery: Gallery):
    ids = [item.id for item in gallery.enrol([new_item(n) for n in range(25)])]
    seen, after = [], None
    while True:
        page = gallery.list(after, limit=10)
        seen += [item.id for item in page.items]
        after = page.next_cursor
        if after is None:
            break
    assert seen == ids


@pytest.mark.parametrize("cursor", ["", "garbage", "YWZ0ZXI6eA", "🙂"])
def test_foreign_cursor_is_refused(gallery: Gallery, cursor: str):
    with pytest.raises(BadFilter, match="next_cursor"):
        gallery.list(cursor)


def test_deleted_item_is_gone_everywhere(gallery: Gallery):
    items = gallery.enrol([new_item(n) for n in range(30)])
    gallery.delete(items[7].id)
    for question in (gallery.get, gallery.crop, gallery.delete, gallery.vectors):
        with pytest.raises(ItemNotFound, match=items[7].id):
            question(items[7].id)
    assert items[7].id not in {hit.item.id for hit in gallery.search(embedding(7, 7), 30)[0]}
    assert gallery.count() == 29


def test_deleting_a_subject_takes_all_of_its_items(gallery: Gallery):
    gallery.enrol([new_item(n) for n in range(40)])
    assert gallery.delete_subject("s3") == 4
    assert gallery.delete_subject("s3") == 0
    assert "s3" not in {hit.item.subject for hit in gallery.search(embedding(3, 3), 40)[0]}


def test_many_deletions_are_compacted_and_stay_exact(gallery: Gallery):
    items = gallery.enrol([new_item(n) for n in range(200)])
    for item in items[::2]:
        gallery.delete(item.id)
    ids = {hit.item.id for hit in gallery.search(embedding(1, 1), 200)[0]}
    assert ids == {item.id for item in items[1::2]}


def test_patch_changes_what_is_given_and_filters_follow(gallery: Gallery):
    (item,) = gallery.enrol([new_item(1, side="left", tags=("a",))])
    changed = gallery.patch(item.id, subject="renamed", tags=("b",))
    assert (changed.subject, changed.side, changed.tags, changed.source) == ("renamed", "left", ("b",), item.source)
    assert changed.seq > item.seq
    assert gallery.get(item.id) == changed
    assert gallery.search(embedding(1, 1), filter=Filter(subjects=("renamed",), tags=("b",)))[0][0].item == changed
    assert gallery.search(embedding(1, 1), filter=Filter(tags=("a",))) == [[]]
    assert gallery.patch(item.id, subject=None).subject is None


def test_side_that_mirrors_the_picture_needs_new_vectors(gallery: Gallery):
    (item,) = gallery.enrol([new_item(1)])
    assert gallery.patch(item.id, side="left").side == "left"
    with pytest.raises(BadItem, match="orientation"):
        gallery.patch(item.id, side="right")
    mirrored = Vectors(np.full(DIM, 0.5, np.float32), embedding(8, 8))
    turned = gallery.patch(item.id, side="right", vectors={SPACE: mirrored})
    assert (turned.id, turned.side, turned.created) == (item.id, "right", item.created)
    (hits,) = gallery.search(embedding(8, 8))
    assert [(hit.item, round(hit.similarity, 5)) for hit in hits] == [(turned, 1.0)]
    assert gallery.crop(item.id) == new_item(1).crop


def test_restart_keeps_everything(folder: Path):
    with open_gallery(folder, DIM, SPACE) as first:
        items = first.enrol([new_item(n, side="left", tags=("t",)) for n in range(60)])
        first.delete(items[0].id)
        first.save()
        late = first.enrol([new_item(n) for n in range(60, 80)])
        first.delete(items[1].id)
        first.patch(items[2].id, subject="new name")
        before = first.search(embedding(2, 2), 100, Filter(exclude_subjects=("s9",)))
    with open_gallery(folder, DIM, SPACE) as second:
        assert second.search(embedding(2, 2), 100, Filter(exclude_subjects=("s9",))) == before
        assert second.count() == 78
        assert second.get(late[0].id) == late[0]


def test_another_encoders_vectors_are_refused_with_both_ids(gallery: Gallery):
    with pytest.raises(SpaceMismatch) as caught:
        gallery.search(np.ones(DIM), space_id=OTHER_SPACE)
    assert (caught.value.expected, caught.value.given) == (SPACE, OTHER_SPACE)
    assert SPACE in str(caught.value)
    assert OTHER_SPACE in str(caught.value)
    with pytest.raises(SpaceMismatch):
        gallery.enrol([new_item(1)], OTHER_SPACE)
    beside = replace(new_item(1), also={OTHER_SPACE: Vectors(new_item(1).mu, new_item(1).embedding)})
    (item,) = gallery.enrol([beside])  # of a space that was retired while the picture was embedded: dropped, not mixed
    assert [hit.item.id for hit in gallery.search(new_item(1).embedding)[0]] == [item.id]


def test_many_queries_are_answered_a_part_at_a_time_as_each_alone(gallery: Gallery, monkeypatch: pytest.MonkeyPatch):
    gallery.enrol([new_item(n) for n in range(40)])
    queries = np.stack([new_item(n).embedding for n in range(0, 40, 4)])
    alone = [gallery.search(query, 5)[0] for query in queries]
    subjects = [gallery.search_subjects(query, 5)[0] for query in queries]
    monkeypatch.setattr("index.search.AT_ONCE", 12)
    assert gallery.search(queries, 5) == alone
    assert gallery.search_subjects(queries, 5) == subjects


def test_gallery_of_another_encoder_is_not_opened(folder: Path):
    open_gallery(folder, DIM, SPACE).close()
    with pytest.raises(SpaceMismatch) as caught:
        open_gallery(folder, DIM, OTHER_SPACE)
    assert (caught.value.expected, caught.value.given) == (SPACE, OTHER_SPACE)
    with pytest.raises(BadVector, match="64"):
        open_gallery(folder, 64, SPACE)
    open_gallery(folder, DIM, SPACE).close()


BAD_VECTORS: dict[str, Any] = {
    "NaN": np.where(np.arange(DIM) == 3, np.nan, 1.0),
    "infinity": np.where(np.arange(DIM) == 3, np.inf, 1.0),
    "zero": np.zeros(DIM),
    "narrow": np.ones(DIM - 1),
    "wide": np.ones(DIM + 1),
    "words": ["a"] * DIM,
}


@pytest.mark.parametrize("name", BAD_VECTORS)
def test_bad_vector_is_refused_in_query_and_enrolment(gallery: Gallery, name: str):
    with pytest.raises(BadVector):
        gallery.search(BAD_VECTORS[name])
    with pytest.raises(BadVector):
        gallery.enrol([new_item(1), replace(new_item(2), embedding=BAD_VECTORS[name])])
    assert gallery.count() == 0


def test_deep_array_of_queries_is_refused(gallery: Gallery):
    with pytest.raises(BadVector):
        gallery.search(np.ones((2, 2, DIM)))


@pytest.mark.parametrize(
    "wrong",
    [{"k": 0}, {"k": 10_001}, {"threshold": float("nan")}, {"threshold": 1.5}],
    ids=str,
)
def test_question_without_meaning_is_refused(gallery: Gallery, wrong: dict):
    with pytest.raises(BadFilter):
        gallery.search(np.ones(DIM), **wrong)


def test_page_limit_is_bounded(gallery: Gallery):
    with pytest.raises(BadFilter, match="limit"):
        gallery.list(limit=0)


@pytest.mark.parametrize(
    "wrong",
    [{"subject": ""}, {"subject": "x" * 257}, {"subject": "a\0b"}, {"side": "up"}, {"tags": "ab"}, {"tags": ("",)},
     {"box": (5, 0, 1, 1)}, {"box": (0, 0, float("nan"), 1)}, {"crop": b""}, {"tags": tuple(map(str, range(65)))}],
    ids=str,
)  # fmt: skip
def test_item_that_cannot_be_stored_is_refused(wrong: dict):
    with pytest.raises(BadItem):
        NewItem(**{"crop": b"x", "mu": np.ones(DIM), "embedding": np.ones(DIM)} | wrong)


def test_every_refusal_is_a_users_error():
    assert GalleryError("x").is_user_error


def test_searches_run_while_writes_go_on(gallery: Gallery):
    first = gallery.enrol([new_item(n) for n in range(100)])
    stop, failures = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                hits = gallery.search(unit(np.ones((4, DIM))), 20, Filter(exclude_subjects=("s5",)))
                assert all(len(row) == 20 and all(h.item.subject != "s5" for h in row) for row in hits)
            except Exception as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(100, 140):
        gallery.enrol([new_item(n)])
        gallery.delete(first[n - 100].id)
        if n % 20 == 0:
            gallery.save()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert gallery.count() == 100
