"""The learning rate over a run."""

import pytest

from training.fit.schedule import FLOOR, learning_rate_factor


def test_rate_rises_to_its_peak_and_falls_to_a_hundredth():
    assert learning_rate_factor(0.0, 0.1) == FLOOR
    assert learning_rate_factor(0.05, 0.1) == pytest.approx(0.5)
    assert learning_rate_factor(0.1, 0.1) == pytest.approx(1.0)
    assert learning_rate_factor(0.55, 0.1) == pytest.approx((1 + FLOOR) / 2)
    assert learning_rate_factor(1.0, 0.1) == pytest.approx(FLOOR)
    assert learning_rate_factor(1.7, 0.1) == pytest.approx(FLOOR)


def test_no_warm_up_starts_at_the_peak():
    assert learning_rate_factor(0.0, 0.0) == pytest.approx(1.0)
