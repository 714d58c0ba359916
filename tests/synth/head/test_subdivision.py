"""Catmull-Clark against what is known of it."""

from __future__ import annotations

import numpy as np

from synth.head.subdivision import refine

CUBE = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)


def test_a_cube_gets_a_vertex_for_each_vertex_edge_and_face() -> None:
    matrix, quads = refine(CUBE, 8)
    assert matrix.shape == (8 + 12 + 6, 8)
    assert quads.shape == (24, 4)


def test_every_new_vertex_is_a_weighted_mean() -> None:
    matrix, _ = refine(CUBE, 8)
    np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1)


def test_a_cube_is_drawn_in_by_the_known_rule() -> None:
    matrix, _ = refine(CUBE, 8)
    # a corner of valence 3: (F + 2 E) / 3 with F the mean of face points, E of edge middles
    np.testing.assert_allclose((matrix @ CORNERS)[0], [2 / 9] * 3)


def test_a_flat_sheet_stays_flat_and_keeps_its_outline() -> None:
    sheet = np.array([[x, y, 0] for y in range(3) for x in range(3)], float)
    quads = np.array([[y * 3 + x, y * 3 + x + 1, y * 3 + x + 4, y * 3 + x + 3] for y in range(2) for x in range(2)])
    refined = refine(quads, 9)[0] @ sheet
    assert np.abs(refined[:, 2]).max() == 0
    assert refined[:, 0].max() <= 2
    np.testing.assert_allclose(refined[4], [1, 1, 0])
