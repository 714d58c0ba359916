"""How few directions a graph needs is asked of the vectors."""

from __future__ import annotations

import numpy as np
import pytest

from index.ann.pca import principal, projection, share_kept

DIM = 64
RANDOM = np.random.default_rng(0)


def unit(vectors):
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def filling(rank, noise=0.01):
    """Vectors whose differences lie in `rank` directions of 64, with a little noise in all of them."""
    inside = RANDOM.normal(size=(2000, rank)) @ np.linalg.qr(RANDOM.normal(size=(DIM, rank)))[0].T
    return unit(inside + noise * RANDOM.normal(size=(2000, DIM)))


@pytest.mark.parametrize(("rank", "size"), [(6, 8), (14, 16), (30, 32), (64, 64)])
def test_as_few_directions_are_taken_as_keep_the_neighbours(rank, size):
    assert projection(filling(rank)).d_out == size


def test_what_is_spread_over_all_directions_does_not_ask_for_all_of_them():
    sample = filling(8, noise=0.05)
    held = np.linalg.eigvalsh(sample.T @ sample)[::-1]
    assert held[:8].sum() / held.sum() < 0.99  # variance alone would have asked for more
    assert projection(sample).d_out <= 16


def test_every_direction_is_taken_where_the_sample_is_too_small_to_ask():
    assert projection(filling(4)[:15]).d_out == DIM


def test_a_projection_keeps_inner_products():
    sample = filling(6, noise=0.0)
    small = projection(sample).apply(sample)
    np.testing.assert_allclose(small @ small.T, sample @ sample.T, atol=1e-4)


def test_directions_come_by_falling_weight_and_all_of_them_keep_everything():
    sample = filling(6)
    directions = principal(sample)
    weights = ((sample @ directions) ** 2).sum(axis=0)
    assert (np.diff(weights) <= 1e-3).all()
    np.testing.assert_allclose(directions.T @ directions, np.eye(DIM), atol=1e-4)
    assert share_kept(sample, directions) == 1.0
