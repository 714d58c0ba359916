"""Intervals resample subjects."""

from __future__ import annotations

import numpy as np
import pytest

from measure.bootstrap import bootstrap, evaluate_intervals
from measure.errors import MeasureError
from measure.protocol import evaluate
from tests.measure.test_protocol import ears


def test_the_values_are_those_of_the_protocol_and_lie_inside() -> None:
    vectors, names = ears(25, 5, noise=1.2)
    scores, intervals = evaluate(vectors, names), evaluate_intervals(vectors, names, samples=100)
    for name in ("rank1", "rank5", "eer", "auc", "tar_at_1e2", "tar_at_1e3"):
        interval = intervals[name]
        assert interval.value == pytest.approx(getattr(scores, name))
        assert interval.low <= interval.value <= interval.high
    assert intervals["rank1"].low < intervals["rank1"].high


def test_subjects_are_resampled_and_not_rows() -> None:
    # Two people, always right or always wrong: the interval must reach from 0 to 1 however many pictures there are.
    subjects = ["a"] * 500 + ["b"] * 500
    right = np.repeat([1.0, 0.0], 500)
    interval = bootstrap(subjects, lambda counts: {"rate": float(np.average(right, weights=counts))}, samples=200)[
        "rate"
    ]
    assert (interval.low, interval.value, interval.high) == (0.0, 0.5, 1.0)


def test_the_interval_covers_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=400)
    interval = bootstrap(range(400), lambda counts: {"mean": float(np.average(values, weights=counts))}, 2000)["mean"]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_the_same_seed_gives_the_same_interval() -> None:
    vectors, names = ears(8, 4, noise=2.0)
    assert evaluate_intervals(vectors, names, samples=20) == evaluate_intervals(vectors, names, samples=20)


def test_one_subject_is_refused() -> None:
    with pytest.raises(MeasureError, match="at least 2"):
        bootstrap(["a", "a"], lambda counts: {})
