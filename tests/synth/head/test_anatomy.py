"""Distances to outlines and lines."""

from __future__ import annotations

import numpy as np

from synth.head.anatomy import LANDMARKS, inside_distance, polyline_distance

SQUARE = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]


def test_distance_to_an_outline_is_positive_inside_and_negative_outside() -> None:
    points = np.array([[1.0, 1.0], [1.0, 0.5], [3.0, 1.0], [3.0, 3.0]])
    np.testing.assert_allclose(inside_distance(points, SQUARE), [1, 0.5, -1, -np.sqrt(2)])


def test_distance_to_a_line_ends_at_its_ends() -> None:
    line = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(polyline_distance(np.array([[0.5, 1.0, 0.0], [3.0, 0.0, 0.0]]), line), [1, 2])


def test_a_line_of_one_point_is_that_point() -> None:
    np.testing.assert_allclose(polyline_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2))), [5])


def test_there_are_17_landmarks() -> None:
    assert len(LANDMARKS) == len(set(LANDMARKS.values())) == 17
