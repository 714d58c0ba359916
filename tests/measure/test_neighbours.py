"""Shared neighbours, cosine and spread."""

from __future__ import annotations

import numpy as np
import pytest

from measure.errors import MeasureError
from measure.neighbours import cosine_report, median_distance, overlap_at_k


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1500, 24))


def test_vectors_share_all_neighbours_with_their_scaled_and_turned_copies(vectors: np.ndarray) -> None:
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(24, 24)))[0]
    assert overlap_at_k(vectors, 3 * vectors @ turn) == 1.0


def test_unrelated_vectors_share_what_chance_gives(vectors: np.ndarray) -> None:
    other = np.random.default_rng(9).normal(size=(1500, 7))
    assert overlap_at_k(vectors, other, k=30) == pytest.approx(30 / 1499, abs=0.005)


def test_a_row_is_not_its_own_neighbour() -> None:
    a = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    b = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]])
    assert overlap_at_k(a, b, k=1) == 0.0


def test_cosine_tells_direction_only(vectors: np.ndarray) -> None:
    report = cosine_report(vectors, 5 * vectors)
    assert report.min == pytest.approx(1.0)
    vectors[3] *= -1
    assert cosine_report(np.abs(vectors), vectors).min < 0


def test_the_median_distance_leaves_out_a_row_and_itself() -> None:
    assert median_distance([[0.0], [1.0], [3.0]]) == 2.0
    assert median_distance(np.ones((5, 3))) == 0.0


def test_arrays_that_do_not_fit_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(MeasureError, match="1500 and 3 rows"):
        overlap_at_k(vectors, vectors[:3])
    with pytest.raises(MeasureError, match="1 to 1499 are possible"):
        overlap_at_k(vectors, vectors, k=1500)
    with pytest.raises(MeasureError, match="one shape"):
        cosine_report(vectors, vectors[:, :3])
    with pytest.raises(MeasureError, match="at least 2"):
        median_distance(vectors[:1])
