"""Three windows that agree within 10 %: believed; else said."""

import pytest

from export.bench.clock import measure_until_stable


class Clock:
    """A clock that `run` moves: each run takes the next of the given durations, the last one for ever."""

    def __init__(self, durations_s):
        self.durations, self.now, self.runs = list(durations_s), 0.0, 0

    def run(self):
        self.now += self.durations[min(self.runs, len(self.durations) - 1)]
        self.runs += 1

    def __call__(self):
        return self.now


def timed(durations_s, window_s=1.0, **options):
    clock = Clock(durations_s)
    return measure_until_stable(clock.run, window_s, clock=clock, **options), clock


def test_a_steady_run_needs_three_windows_and_its_first_run_does_not_count():
    timing, clock = timed([99.0, 0.25])
    assert timing.stable
    assert timing.windows_ms == (250.0, 250.0, 250.0)
    assert clock.runs == 1 + 3 * 4
    assert timing.latency.p99_ms == pytest.approx(250.0)


def test_windows_before_it_settled_are_thrown_away():
    timing, _ = timed([1.0, 3.0, 2.0, 1.0])
    assert timing.stable
    assert timing.windows_ms == (3000.0, 2000.0, 1000.0, 1000.0, 1000.0)
    assert timing.latency.mean_ms == pytest.approx(1000.0)


def test_a_run_that_never_settles_ends_and_says_so():
    timing, _ = timed([1.0] + [1.0, 2.0] * 50, most_windows=8)
    assert not timing.stable
    assert len(timing.windows_ms) == 8
    assert timing.to_dict()["stable"] is False


def test_a_run_longer_than_a_window_is_one_sample_a_window():
    timing, clock = timed([7.0], window_s=0.5)
    assert (timing.stable, timing.latency.count, clock.runs) == (True, 3, 4)
