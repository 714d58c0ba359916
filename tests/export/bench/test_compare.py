"""`--against`: what became worse, by how much, and what cannot be compared."""

import copy

import pytest

from export.bench.compare import changes, regressions
from export.errors import NotComparable


def report(p50_ms=10.0, fingerprint="a", batch=1):
    row = {"batch": batch, "device": {"p50_ms": p50_ms}, "end_to_end": {"p50_ms": 20.0, "p99_ms": 30.0}}
    result = {"runtime": "r", "precision": "fp32", "memory_mib": 100, "warm_start_s": 0.5, "rows": [row]}
    return {"hardware": {"cpu": f"cpu {fingerprint}", "fingerprint": fingerprint}, "results": [result]}


def test_a_slower_device_is_a_regression_past_the_margin_only():
    found = changes(report(), report(p50_ms=12.0))
    assert {change.figure for change in found} == {
        "memory (MiB)",
        "warm start (s)",
        "device p50 (ms)",
        "end-to-end p50 (ms)",
        "end-to-end p99 (ms)",
    }
    assert [(change.case, change.ratio) for change in regressions(found, 0.1)] == [("r fp32 batch 1", 1.2)]
    assert regressions(found, 0.2) == []


def test_faster_is_no_regression():
    assert regressions(changes(report(), report(p50_ms=1.0)), 0.0) == []


def test_another_machine_is_refused_with_what_differs_unless_told():
    with pytest.raises(NotComparable, match="cpu: cpu a there, cpu b here"):
        changes(report(), report(fingerprint="b"))
    assert changes(report(), report(fingerprint="b"), other_hardware=True)


def test_reports_without_a_common_case_are_refused():
    other = copy.deepcopy(report())
    other["results"][0]["runtime"] = "another"
    with pytest.raises(NotComparable, match="no case"):
        changes(other, report())
