"""The protocol: who is gallery, who is query, and what chance and cheats score."""

from __future__ import annotations

import numpy as np
import pytest

from measure.errors import MeasureError
from measure.protocol import evaluate, gallery_query_split


def ears(subjects: int, pictures: int, noise: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Vectors of `subjects` people, `pictures` each: a centre a person plus noise."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(subjects, 32))
    names = [f"s{number}" for number in range(subjects) for _ in range(pictures)]
    return np.repeat(centres, pictures, axis=0) + noise * rng.normal(size=(len(names), 32)), names


def test_the_first_pictures_of_a_subject_are_the_gallery() -> None:
    split = gallery_query_split(["a", "b", "a", "a", "b", "c", "b"], per_subject=2)
    assert split.gallery.tolist() == [0, 1, 2, 4, 5]
    assert split.queries.tolist() == [3, 6]


def test_too_few_pictures_are_named() -> None:
    with pytest.raises(MeasureError, match="none of 2 subjects has more than 2 pictures"):
        gallery_query_split(["a", "a", "b"])
    with pytest.raises(MeasureError, match="per_subject is 0"):
        gallery_query_split(["a", "a"], per_subject=0)


def test_separate_subjects_are_found_and_counted() -> None:
    scores = evaluate(*ears(20, 6, noise=0.1))
    assert (scores.rank1, scores.rank5, scores.eer, scores.tar_at_1e3) == (1.0, 1.0, 0.0, 1.0)
    assert (scores.subjects, scores.queries, scores.genuine_pairs, scores.impostor_pairs) == (20, 80, 160, 3040)


def test_noise_is_chance() -> None:
    scores = evaluate(np.random.default_rng(0).normal(size=(400, 32)), [number // 8 for number in range(400)])
    assert scores.rank1 < 0.07
    assert scores.eer == pytest.approx(0.5, abs=0.06)


def test_a_constant_embedding_scores_nothing() -> None:
    scores = evaluate(np.ones((40, 8)), [number // 4 for number in range(40)])
    assert (scores.rank1, scores.eer, scores.tar_at_1e2) == (0.0, 0.5, 0.0)


def test_the_length_of_a_vector_does_not_matter() -> None:
    vectors, names = ears(10, 5, noise=1.0)
    lengths = np.random.default_rng(0).uniform(0.1, 9, size=(len(vectors), 1))
    assert evaluate(vectors, names).rank1 == evaluate(vectors * lengths, names).rank1


def test_wrong_vectors_are_refused() -> None:
    with pytest.raises(MeasureError, match="3 embeddings for 4 subjects"):
        evaluate(np.ones((3, 2)), list("aabb"))
    with pytest.raises(MeasureError, match="row 1 is not"):
        evaluate(np.array([[1.0], [np.inf], [1.0]]), list("aaa"))
