"""Landmark errors, their normalisers and their distribution."""

import numpy as np
import pytest

from measure.landmarks import box_diagonal, ced, ced_area, failure_rate, landmark_size, normalised_error

TRUTH = np.array([[[0.0, 0], [3, 4]]])


def test_only_landmarks_that_count_count():
    counts = np.array([[True, False]])
    truth = np.array([[[0.0, 0], [np.nan, np.nan]]])
    assert normalised_error(TRUTH + 1, truth, np.array([2.0]), counts)[0] == pytest.approx(np.sqrt(2) / 2)


def test_a_picture_without_landmarks_has_no_error():
    assert np.isnan(normalised_error(TRUTH, TRUTH, np.array([1.0]), np.zeros((1, 2), bool))[0])


def test_sizes():
    assert box_diagonal(np.array([[0.0, 0, 3, 4]]))[0] == 5
    assert landmark_size(TRUTH, np.ones((1, 2), bool))[0] == 5


def test_the_cumulative_distribution_counts_missed_ears():
    errors = np.array([0.01, 0.05, np.inf])
    assert ced(errors, np.array([0.02, 0.1])).tolist() == pytest.approx([1 / 3, 2 / 3])
    assert failure_rate(errors) == pytest.approx(1 / 3)
    assert ced_area(errors) == pytest.approx((0.9 + 0.5 + 0) / 3)
