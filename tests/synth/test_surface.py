"""Triangles to pixels."""

from __future__ import annotations

import numpy as np

from synth.surface import FAR, carry, depth_map, rasterise, shadow, vertex_normals

SQUARE = np.array([[1.0, 1, 5], [9, 1, 5], [9, 9, 5], [1, 9, 5]])
FACES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_a_square_fills_exactly_its_pixels() -> None:
    shown, depth, _ = rasterise(SQUARE, FACES, 10, 12)
    assert (shown >= 0).sum() == 64
    assert (shown[1:9, 1:9] >= 0).all()
    assert depth[5, 5] == 5
    assert depth[0, 0] == FAR


def test_the_nearer_triangle_hides_the_farther() -> None:
    both = np.vstack([SQUARE, SQUARE - [0, 0, 2]])
    shown, depth, _ = rasterise(both, np.vstack([FACES, FACES + 4]).astype(np.int32), 10, 10)
    assert (shown[1:9, 1:9] >= 2).all()
    assert (depth[1:9, 1:9] == 3).all()


def test_values_are_carried_linearly() -> None:
    shown, _, weights = rasterise(SQUARE, FACES, 10, 10)
    inside = shown >= 0
    carried = carry(SQUARE.astype(np.float32), FACES, shown[inside], weights[inside])
    y, x = np.nonzero(inside)
    np.testing.assert_allclose(carried[:, 0], x + 0.5, atol=1e-4)
    np.testing.assert_allclose(carried[:, 1], y + 0.5, atol=1e-4)


def test_normals_of_a_flat_sheet_are_parallel_and_of_length_one() -> None:
    normals = vertex_normals(SQUARE, FACES)
    np.testing.assert_allclose(np.abs(normals), np.tile([0, 0, 1], (4, 1)), atol=1e-9)


def test_what_lies_behind_a_sheet_is_in_its_shadow() -> None:
    depth = depth_map(SQUARE, FACES, 10)
    points = np.array([[5.0, 5, 7], [5, 5, 4], [0.5, 0.5, 7]])
    lit, blocked = shadow(depth, points, 0.1, np.zeros((1, 2)))
    np.testing.assert_allclose(lit, [0, 1, 1])
    np.testing.assert_allclose(blocked, [2, 0, 0])
