"""The contract of neighbours, held by the plain fake and by the real ones alike."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.ann.approximate import ApproximateIndex
from index.ann.faiss_neighbours import FaissNeighbours
from index.ann.hnsw import HnswIndex
from index.ann.ivf_rabitq import IvfIndex
from index.neighbours import Entries, FakeNeighbours, Keys, Label, Matrix, Neighbours, Selection
from tests.index.ears import DIM, embedding


def trained(large: ApproximateIndex) -> ApproximateIndex:
    large.train(np.stack([embedding(n % 5, n) for n in range(700)]))
    return large


GRAPH = trained(HnswIndex(DIM)).index
CELLS = trained(IvfIndex(DIM, 100)).index


class Absorbing(FaissNeighbours):
    """Neighbours whose vectors go into the approximate part at once, so that the contract is put to that one."""

    def __init__(self, large: ApproximateIndex) -> None:
        super().__init__(DIM, fetch=self._stored_of)
        self._stored: dict[int, np.ndarray] = {}
        large.effort = 16 if large.kind == "ivf" else 64
        self.install_large(large)

    def put(self, entries: Entries) -> None:
        live = set(self._labels.keys().tolist())
        new = [n for n, key in enumerate(entries.keys.tolist()) if key not in live]
        self._stored |= {int(entries.keys[n]): entries.embeddings[n] for n in new}
        super().put(entries)
        self.absorb(lambda: False)

    def _stored_of(self, keys: Keys) -> tuple[Keys, Matrix]:
        return keys, np.stack([self._stored[key] for key in keys.tolist()]) if len(keys) else np.zeros((0, DIM), "f4")


MAKERS: dict[str, Callable[[], Neighbours]] = {
    "fake": lambda: FakeNeighbours(DIM),
    "exact": lambda: FaissNeighbours(DIM),
    "hnsw": lambda: Absorbing(HnswIndex(DIM, faiss.clone_index(GRAPH))),
    "ivf": lambda: Absorbing(IvfIndex(DIM, index=faiss.clone_index(CELLS))),
}


@pytest.fixture(params=MAKERS)
def neighbours(request: pytest.FixtureRequest) -> Neighbours:
    return MAKERS[request.param]()


def entries(*keys: int, tags: tuple[str, ...] = ()) -> Entries:
    labels = [Label(f"s{key % 10}" if key % 7 else None, "left" if key % 2 else None, tags) for key in keys]
    return Entries(np.array(keys, dtype=np.int64), labels, np.stack([embedding(key % 10, key) for key in keys]))


def found(neighbours: Neighbours, key: int, k: int = 1000, selection: Selection | None = None) -> list[int]:
    keys, _ = neighbours.search(embedding(key % 10, key)[None], k, selection)
    return [value for value in keys[0].tolist() if value >= 0]


def test_stored_vector_is_its_own_nearest(neighbours: Neighbours):
    neighbours.put(entries(*range(1, 50)))
    keys, cosines = neighbours.search(np.stack([embedding(7, 17), embedding(8, 8)]), 1, None)
    assert keys.tolist() == [[17], [8]]
    np.testing.assert_allclose(cosines, 1.0, atol=1e-6)


def test_empty_places_hold_minus_one(neighbours: Neighbours):
    neighbours.put(entries(1, 2))
    keys, cosines = neighbours.search(embedding(1, 1)[None], 4, None)
    assert (keys.shape, str(cosines.dtype), str(keys.dtype)) == ((1, 4), "float32", "int64")
    assert keys[0, 2:].tolist() == [-1, -1]


def test_removed_key_is_found_no_more_and_unknown_keys_do_no_harm(neighbours: Neighbours):
    neighbours.put(entries(*range(1, 30)))
    neighbours.remove([5, 5, 77, 0, -3])
    assert found(neighbours, 5).count(5) == 0
    assert len(neighbours) == 28
    assert sorted(found(neighbours, 1, 28)) == [key for key in range(1, 30) if key != 5]


def test_key_that_comes_back_is_there_once_with_its_new_vector(neighbours: Neighbours):
    neighbours.put(entries(1, 2, 3))
    neighbours.remove([2])
    other = Entries(np.array([2]), [Label(None, None, ())], embedding(9, 9)[None])
    neighbours.put(other)
    assert found(neighbours, 9)[0] == 2
    assert found(neighbours, 9).count(2) == 1


def test_put_again_changes_the_label_only(neighbours: Neighbours):
    neighbours.put(entries(1, 2, 3))
    neighbours.put(entries(2, tags=("new",)))
    assert len(neighbours) == 3
    assert found(neighbours, 2, selection=Selection(tags=("new",))) == [2]


def test_relabel_is_seen_by_filters_and_passes_over_the_unknown(neighbours: Neighbours):
    neighbours.put(entries(1, 2, 3))
    neighbours.relabel(3, Label("x", "right", ("t",)))
    neighbours.relabel(99, Label("x", "right", ("t",)))
    assert found(neighbours, 3, selection=Selection(subjects=("x",), sides=("right",), tags=("t",))) == [3]
    assert len(neighbours) == 3


SIDES = st.sampled_from([None, "left", "right"])
NAMES = st.sampled_from([None, "anna", "ben", "carl"])
LABELS = st.builds(Label, NAMES, SIDES, st.lists(st.sampled_from("abc"), unique=True).map(tuple))
SELECTIONS = st.builds(
    Selection,
    st.lists(st.sampled_from(["anna", "ben", "nobody"]), max_size=2).map(tuple),
    st.lists(SIDES, max_size=2).map(tuple),
    st.lists(st.sampled_from("abcd"), max_size=2).map(tuple),
    st.lists(st.sampled_from(["anna", "nobody"]), max_size=2).map(tuple),
    st.one_of(st.none(), st.lists(st.integers(0, 40), max_size=10).map(tuple)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(LABELS, max_size=30), st.sets(st.integers(1, 35), max_size=8), SELECTIONS)
def test_real_neighbours_answer_as_the_fake(labels: list[Label], removed: set[int], selection: Selection):
    keys = np.arange(1, len(labels) + 1, dtype=np.int64)
    vectors = np.stack([embedding(key % 5, key) for key in range(1, 32)])[: len(labels)]
    answers = []
    for make in MAKERS.values():
        neighbours = make()
        if labels:
            neighbours.put(Entries(keys, labels, vectors))
        neighbours.remove(sorted(removed))
        answers.append(neighbours.search(np.stack([embedding(1, 1), embedding(2, 99)]), 12, selection))
    for other_keys, other_cosines in answers[1:]:
        np.testing.assert_array_equal(other_keys, answers[0][0])
        np.testing.assert_allclose(other_cosines, answers[0][1], atol=1e-5)
