"""Platt scaling against its closed form, thresholds against other pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import norm

from measure.calibration import Calibration, calibrate
from measure.errors import MeasureError


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(0.6, 0.1, 2000), rng.normal(0.2, 0.1, 20_000)


def test_two_gaussians_of_one_width_give_the_closed_form(pairs) -> None:
    calibration = calibrate(*pairs)
    # log odds = (m1 - m0) / s^2 * (x - (m0 + m1) / 2), whatever the number of pairs of each kind
    assert calibration.slope == pytest.approx(40, rel=0.1)
    assert calibration.probability(0.4) == pytest.approx(0.5, abs=0.05)
    truth = norm.pdf(0.5, 0.6, 0.1) / (norm.pdf(0.5, 0.6, 0.1) + norm.pdf(0.5, 0.2, 0.1))
    assert calibration.probability([0.5])[0] == pytest.approx(truth, abs=0.02)


def test_probability_rises_with_similarity(pairs) -> None:
    values = calibrate(*pairs).probability(np.linspace(-1, 1, 50))
    assert (np.diff(values) >= 0).all()
    assert 0 <= values[0] < 0.01
    assert 0.99 < values[-1] <= 1


def test_thresholds_keep_to_their_rates_on_other_pairs(pairs) -> None:
    calibration = calibrate(*pairs)
    other = np.random.default_rng(5).normal(0.2, 0.1, 200_000)
    for far in (0.1, 0.01, 0.001):
        assert (other >= calibration.at_far(far).threshold).mean() == pytest.approx(far, rel=0.35)


def test_a_rate_that_cannot_be_measured_has_no_threshold(pairs) -> None:
    calibration = calibrate(pairs[0], pairs[1][:50])
    assert [point.far for point in calibration.points] == [0.1]
    with pytest.raises(MeasureError, match=r"rate of 0\.001; there are: 0\.1"):
        calibration.at_far(0.001)


def test_perfectly_separate_pairs_do_not_run_away() -> None:
    calibration = calibrate([0.9, 0.91, 0.92], [0.1, 0.11, 0.12, 0.13])
    assert np.isfinite([calibration.slope, calibration.intercept]).all()
    assert calibration.probability(0.9) < 1.0


def test_it_survives_json(pairs) -> None:
    calibration = calibrate(*pairs)
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration
    with pytest.raises(MeasureError, match="not a calibration"):
        Calibration.from_dict({"slope": 1})
