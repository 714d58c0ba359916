"""Percentiles that occurred, and the rule of three stable windows."""

from __future__ import annotations

import numpy as np
import pytest

from measure.errors import MeasureError
from measure.latency import Latency, stable


def test_seconds_become_milliseconds_that_occurred() -> None:
    latency = Latency.of(np.arange(1, 101) / 1000)
    assert (latency.p50_ms, latency.p90_ms, latency.p99_ms) == (51.0, 91.0, 100.0)
    assert latency.mean_ms == pytest.approx(50.5)
    assert latency.to_dict()["count"] == 100


def test_one_sample_is_every_percentile() -> None:
    assert Latency.of([0.25]) == Latency(250.0, 250.0, 250.0, 250.0, 250.0, 1)


@pytest.mark.parametrize("samples", [[], [-1.0], [float("nan")]])
def test_no_or_broken_samples_are_refused(samples: list[float]) -> None:
    with pytest.raises(MeasureError, match="at least one duration"):
        Latency.of(samples)


def test_three_windows_within_ten_percent_are_stable() -> None:
    assert stable([900.0, 100.0, 104.0, 96.0])
    assert not stable([100.0, 104.0, 140.0])
    assert not stable([100.0, 100.0])
    assert not stable([100.0, float("nan"), 100.0])
