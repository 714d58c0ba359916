"""ROC, EER and thresholds against scikit-learn and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from measure.errors import MeasureError
from measure.verification import auc, eer, roc, tar_at_far, threshold_at_far


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.normal(1.5, 1, 3000).round(2), rng.normal(0, 1, 5000).round(2)  # rounded: with ties


def test_the_curve_and_its_area_are_scikit_learns(scores) -> None:
    genuine, impostor = scores
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    far, tar, thresholds = roc_curve(labels, np.r_[genuine, impostor], drop_intermediate=False)
    curve = roc(genuine, impostor)
    np.testing.assert_allclose(curve.far, far)
    np.testing.assert_allclose(curve.tar, tar)
    np.testing.assert_allclose(curve.thresholds, thresholds)
    assert auc(curve) == pytest.approx(roc_auc_score(labels, np.r_[genuine, impostor]))


def test_two_gaussians_have_the_closed_form_error_rate(scores) -> None:
    curve = roc(*scores)
    assert eer(curve) == pytest.approx(norm.cdf(-0.75), abs=0.01)
    assert auc(curve) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.01)


def test_a_threshold_keeps_to_its_false_accept_rate(scores) -> None:
    genuine, impostor = scores
    curve = roc(genuine, impostor)
    for far in (0.1, 0.01, 0.001):
        threshold = threshold_at_far(curve, far)
        assert (impostor >= threshold).mean() <= far
        laxer = np.concatenate(scores)[np.concatenate(scores) < threshold].max()
        assert (impostor >= laxer).mean() > far
        assert (genuine >= threshold).mean() == pytest.approx(tar_at_far(curve, far))


def test_perfect_separation_has_no_error() -> None:
    curve = roc([0.9, 0.8], [0.1, 0.2])
    assert (eer(curve), auc(curve), tar_at_far(curve, 0.0)) == (0.0, 1.0, 1.0)
    assert threshold_at_far(curve, 0.0) == 0.8


def test_reversed_and_constant_scores_do_not_look_good() -> None:
    assert eer(roc([0.1, 0.2], [0.8, 0.9])) == 1.0
    constant = roc(np.zeros(10), np.zeros(10))
    assert eer(constant) == 0.5
    assert auc(constant) == 0.5
    assert tar_at_far(constant, 0.01) == 0.0
    assert threshold_at_far(constant, 0.01) == np.inf


def test_a_weight_of_two_is_the_score_twice() -> None:
    weighted = roc([0.3, 0.7], [0.5, 0.1], [2, 1], [1, 3])
    repeated = roc([0.3, 0.3, 0.7], [0.5, 0.1, 0.1, 0.1])
    np.testing.assert_allclose(weighted.far, repeated.far)
    np.testing.assert_allclose(weighted.tar, repeated.tar)


def test_missing_or_broken_scores_are_named() -> None:
    with pytest.raises(MeasureError, match="no impostor scores"):
        roc([0.1], [])
    with pytest.raises(MeasureError, match="genuine scores must be finite"):
        roc([np.nan], [0.1])
    with pytest.raises(MeasureError, match="allowed are 0 to 1"):
        tar_at_far(roc([1.0], [0.0]), 5)
