"""Every option of a search against brute force over everything enrolled: flat and grouped, one probe or several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import search
from index.errors import BadFilter, ItemNotFound
from index.gallery import Gallery
from index.items import Filter, Item, NewItem, Probe, Side
from index.opening import open_gallery
from tests.index.ears import SPACE, new_item, unit

WIDTH, COUNT = 8, 160
SUBJECTS = (*[f"s{n}" for n in range(12)], None)
SIDES: tuple[Side | None, ...] = ("left", "right", None)
TAGS = ((), ("a",), ("b",), ("a", "b"))


class Enrolled:
    """A gallery with what it holds: items and their unit vectors (N, WIDTH), some of them equal."""

    def __init__(self, gallery: Gallery, items: Sequence[Item], matrix: np.ndarray) -> None:
        self.gallery, self.items, self.matrix = gallery, items, matrix


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enrolled]:
    random = np.random.default_rng(7)
    matrix = unit(random.normal(size=(COUNT, WIDTH)))
    matrix[40:60] = matrix[39]
    # One subject has half of all ears: the others are reached only by looking past them.
    subjects = ["s0" if random.random() < 0.5 else SUBJECTS[random.integers(len(SUBJECTS))] for _ in matrix]
    new = [
        NewItem(b"crop", v, v, subject, SIDES[random.integers(3)], TAGS[random.integers(4)])
        for v, subject in zip(matrix, subjects, strict=True)
    ]
    with open_gallery(tmp_path_factory.mktemp("search") / "gallery", WIDTH, SPACE) as gallery:
        yield Enrolled(gallery, gallery.enrol(new), matrix)


def some(values: Sequence) -> st.SearchStrategy[tuple]:
    return st.lists(st.sampled_from(values), max_size=4, unique=True).map(tuple)


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    if draw(st.booleans()):
        return Filter()
    named = SUBJECTS[:-1]
    return Filter(
        draw(st.one_of(st.just(()), some(named))),
        draw(some(SIDES)),
        draw(st.one_of(st.just(()), some(("a", "b")))),
        draw(some(named)),
    )


VECTORS = st.integers(0, 10_000).map(lambda seed: unit(np.random.default_rng(seed).normal(size=WIDTH)))
PROBES = st.lists(st.builds(Probe, VECTORS, filters()), min_size=1, max_size=3)
THRESHOLDS = st.one_of(st.none(), st.floats(-1, 1, allow_nan=False))


def admits(filter: Filter, item: Item) -> bool:
    return (
        (not filter.subjects or item.subject in filter.subjects)
        and (not filter.sides or item.side in filter.sides)
        and set(filter.tags) <= set(item.tags)
        and item.subject not in filter.exclude_subjects
        and (not filter.item_ids or item.id in filter.item_ids)
        and item.id not in filter.exclude_item_ids
    )


def best_similarities(enrolled: Enrolled, probes: Sequence[Probe], threshold: float | None) -> dict[str, float]:
    """The best similarity of every item that any probe may meet, by id; those too near the threshold stay out."""
    best: dict[str, float] = {}
    for item, vector in zip(enrolled.items, enrolled.matrix, strict=True):
        values = [float(vector @ probe.embedding) for probe in probes if admits(probe.filter, item)]
        if values and (threshold is None or max(values) >= threshold):
            best[item.id] = max(values)
    return best


@settings(deadline=None, max_examples=150)
@given(probes=PROBES, k=st.integers(1, COUNT + 5), threshold=THRESHOLDS)
def test_flat_search_is_brute_force(enrolled: Enrolled, probes: list[Probe], k: int, threshold: float | None):
    best = best_similarities(enrolled, probes, threshold)
    hits = enrolled.gallery.search_probes(probes, k, threshold=threshold)
    np.testing.assert_allclose([h.similarity for h in hits], sorted(best.values(), reverse=True)[:k], atol=1e-6)
    assert all(abs(best[hit.item.id] - hit.similarity) < 1e-6 for hit in hits)
    assert len({hit.item.id for hit in hits}) == len(hits)
    if len(probes) == 1:
        alone = enrolled.gallery.search(probes[0].embedding, k, probes[0].filter, threshold=threshold)
        assert alone == [hits]


@settings(deadline=None, max_examples=150)
@given(probes=PROBES, k=st.integers(1, 15), per_subject=st.integers(1, 12), threshold=THRESHOLDS)
@pytest.mark.parametrize("completed_at_once", [search.COMPLETED_AT_ONCE, 0])
def test_grouped_search_is_brute_force(
    enrolled: Enrolled,
    completed_at_once: int,
    probes: list[Probe],
    k: int,
    per_subject: int,
    threshold: float | None,
):
    best = best_similarities(enrolled, probes, threshold)
    of_subject = defaultdict(list)
    for item in enrolled.items:
        if item.id in best:
            of_subject[item.subject or item.id].append(best[item.id])
    expected = sorted((sorted(values, reverse=True) for values in of_subject.values()), key=lambda v: -v[0])[:k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "COMPLETED_AT_ONCE", completed_at_once)
        groups = enrolled.gallery.search_probes_subjects(probes, k, per_subject, threshold=threshold)
        if len(probes) == 1:
            asked = (probes[0].embedding, k, per_subject, probes[0].filter)
            assert enrolled.gallery.search_subjects(*asked, threshold=threshold) == [groups]
    assert len(groups) == len(expected)
    np.testing.assert_allclose([group.similarity for group in groups], [v[0] for v in expected], atol=1e-6)
    for group in groups:
        name = group.subject or group.hits[0].item.id
        np.testing.assert_allclose(
            [hit.similarity for hit in group.hits],
            sorted(of_subject[name], reverse=True)[:per_subject],
            atol=1e-6,
        )
        assert {hit.item.subject or hit.item.id for hit in group.hits} == {name}


def test_a_subject_whose_ears_lie_both_ways_round_keeps_all_of_them(gallery: Gallery):
    """An ear of unknown side is looked for both ways round; a cut to k subjects before merging lost the far ones."""
    ways = unit(np.random.default_rng(1).normal(size=(2, 32)))
    gallery.enrol([NewItem(b"x", way, way, "anna") for way in ways])
    gallery.enrol([NewItem(b"x", v, v, f"p{n}") for n, v in enumerate(unit(ways[1] + 0.01 * np.ones((5, 32))))])
    (group,) = gallery.search_probes_subjects([Probe(way) for way in ways], k=1, per_subject=2)
    assert (group.subject, len(group.hits)) == ("anna", 2)
    assert [hit.similarity for hit in group.hits] == pytest.approx([1.0, 1.0])


def test_an_enrolled_ear_is_a_query_that_does_not_meet_itself(gallery: Gallery):
    items = gallery.enrol([new_item(n) for n in range(30)])
    probe = gallery.probe_of(items[3].id, Filter(exclude_subjects=("s4",)))
    hits = gallery.search_probes([probe], 100)
    assert items[3].id not in {hit.item.id for hit in hits}
    assert len(hits) == 26
    assert hits[0].item.subject == "s3"
    assert gallery.count(probe.filter) == 26
    with pytest.raises(ItemNotFound):
        gallery.probe_of("ear_none")


def test_no_ears_per_subject_are_no_question(gallery: Gallery):
    with pytest.raises(BadFilter, match="per_subject is 0"):
        gallery.search_subjects(np.ones(32), per_subject=0)
