"""Surfaces laid onto each other."""

from __future__ import annotations

import numpy as np

from synth.arrays import Floats, Ints
from synth.head.registration import register, similarity
from synth.surface import vertex_normals


def dome(height: float, count: int) -> tuple[Floats, Ints]:
    """A round hill on a grid of count x count points, 1 dm wide."""
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, count), np.linspace(-0.5, 0.5, count))
    z = height * np.exp(-(x**2 + y**2) / 0.08)
    i = np.arange(count * count).reshape(count, count)
    a, b, c, d = i[:-1, :-1].ravel(), i[:-1, 1:].ravel(), i[1:, 1:].ravel(), i[1:, :-1].ravel()
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    return np.stack([x.ravel(), y.ravel(), z.ravel()], 1), triangles


def test_a_known_similarity_is_found_again() -> None:
    r = np.random.default_rng(1)
    points = r.normal(size=(9, 3))
    turn = np.linalg.qr(r.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    fit = similarity(points, 2.5 * points @ turn.T + [1, 2, 3])
    np.testing.assert_allclose(fit.moved(points), 2.5 * points @ turn.T + [1, 2, 3], atol=1e-9)
    assert abs(fit.scale - 2.5) < 1e-9


def test_a_hill_is_laid_onto_a_higher_one() -> None:
    low, triangles = dome(0.10, 25)
    high, high_triangles = dome(0.16, 31)
    pairs = np.array([[0, 0], [24, 30], [600, 930], [624, 960], [312, 480]])
    rows = np.arange(len(low))
    fitted = register(low, triangles, rows, high, vertex_normals(high, high_triangles), pairs, high)
    laid = low + fitted.base
    assert abs(laid[312, 2] - 0.16) < 0.02  # smoothness costs a little height
    expected = 0.16 * np.exp(-(laid[:, 0] ** 2 + laid[:, 1] ** 2) / 0.08)
    assert np.abs(laid[:, 2] - expected).mean() < 0.006


def test_constant_values_are_carried_unchanged() -> None:
    low, triangles = dome(0.10, 25)
    high, high_triangles = dome(0.12, 31)
    pairs = np.array([[0, 0], [24, 30], [600, 930], [624, 960], [312, 480]])
    fitted = register(low, triangles, np.arange(625), high, vertex_normals(high, high_triangles), pairs, high)
    np.testing.assert_allclose(fitted.carry(np.full((961, 2), 3.0)), 3.0)
