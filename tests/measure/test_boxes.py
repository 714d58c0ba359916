"""Boxes found against boxes that are there: overlap, average precision, the threshold that balances both errors."""

import numpy as np
import pytest

from measure.boxes import average_precision, best_threshold, iou, precision_curve

BOX = np.array([[0.0, 0, 10, 10]])
FAR = np.array([[50.0, 50, 60, 60]])


def test_overlap_of_halves_is_a_third():
    assert iou(BOX, np.array([[5.0, 0, 15, 10], [20, 20, 30, 30]]))[0].tolist() == pytest.approx([1 / 3, 0])


def test_finding_everything_first_is_an_average_precision_of_one():
    curve = precision_curve([BOX, FAR], [np.array([0.9]), np.array([0.8])], [BOX, FAR])
    assert average_precision(curve) == 1


def test_a_true_box_is_found_once():
    curve = precision_curve([np.concatenate([BOX, BOX])], [np.array([0.9, 0.8])], [BOX])
    assert curve.precision.tolist() == [1, 0.5]


def test_a_false_alarm_above_a_hit_halves_it():
    curve = precision_curve([BOX, FAR], [np.array([0.5]), np.array([0.9])], [BOX, np.zeros((0, 4))])
    assert average_precision(curve) == pytest.approx(0.5)
    assert best_threshold(curve) == 0.5


def test_finding_nothing_is_worth_nothing():
    curve = precision_curve([np.zeros((0, 4))], [np.zeros(0)], [BOX])
    assert average_precision(curve) == 0
    assert best_threshold(curve) == 1
