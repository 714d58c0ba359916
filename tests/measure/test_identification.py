"""CMC: ranks of identities, ties against the query."""

from __future__ import annotations

import numpy as np
import pytest

from measure.errors import MeasureError
from measure.identification import cmc, match_ranks, rank_k


def test_ranks_count_identities_and_not_pictures() -> None:
    similarity = np.array([[0.9, 0.8, 0.7, 0.1]])
    assert match_ranks(similarity, ["b"], ["a", "a", "b", "c"]).tolist() == [2]


def test_an_identity_scores_as_its_best_picture() -> None:
    assert match_ranks(np.array([[0.1, 0.5, 0.9]]), ["a"], ["a", "b", "a"]).tolist() == [1]


def test_ties_count_against_the_query() -> None:
    assert cmc(np.ones((3, 4)), ["a", "b", "c"], ["a", "b", "c", "d"], max_rank=4).tolist() == [0, 0, 0, 1]


def test_the_curve_never_falls_and_is_flat_past_the_gallery() -> None:
    rng = np.random.default_rng(0)
    ids = [f"s{number}" for number in range(5)]
    curve = cmc(rng.normal(size=(40, 10)), [ids[row % 5] for row in range(40)], ids * 2, max_rank=9)
    assert (np.diff(curve) >= 0).all()
    assert curve[4:].tolist() == [1.0] * 5


def test_chance_is_one_over_the_number_of_identities() -> None:
    rng = np.random.default_rng(1)
    ids = list(range(20))
    queries = [row % 20 for row in range(4000)]
    assert rank_k(rng.normal(size=(4000, 20)), queries, ids) == pytest.approx(0.05, abs=0.015)


def test_a_query_without_its_identity_is_named() -> None:
    with pytest.raises(MeasureError, match="1 queries have no identity in the gallery, 'x'"):
        cmc(np.ones((2, 1)), ["a", "x"], ["a"])


@pytest.mark.parametrize("similarity", [np.ones((2, 2)), np.full((1, 2), np.nan), np.ones((0, 2))])
def test_arrays_that_do_not_fit_are_refused(similarity: np.ndarray) -> None:
    with pytest.raises(MeasureError):
        cmc(similarity, ["a"] * min(1, len(similarity)), ["a", "b"])
