"""Two bench files against each other: what became slower or larger by more than a stated margin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from export.errors import NotComparable

FIGURES = {
    "device p50 (ms)": ("device", "p50_ms"),
    "end-to-end p50 (ms)": ("end_to_end", "p50_ms"),
    "end-to-end p99 (ms)": ("end_to_end", "p99_ms"),
}
"""What is compared a row; larger is worse."""


@dataclass(frozen=True)
class Change:
    """One figure, before and now."""

    case: str
    figure: str
    before: float
    now: float

    @property
    def ratio(self) -> float:
        """Now over before: 1.2 is 20 % worse."""
        return self.now / self.before if self.before else float("inf")


def changes(old: Mapping[str, Any], new: Mapping[str, Any], other_hardware: bool = False) -> list[Change]:
    """Every figure that both reports have.

    Raises:
        NotComparable: they were measured on different machines (unless `other_hardware`), or share no case.
    """
    if not other_hardware and (differing := _differences(old["hardware"], new["hardware"])):
        raise NotComparable(
            f"--against was measured on other hardware ({'; '.join(differing)}); measure it here, or give "
            "--other-hardware to compare all the same"
        )
    before = dict(_figures(old))
    figures = [
        Change(case, name, before[case, name], now) for (case, name), now in _figures(new) if (case, name) in before
    ]
    if not figures:
        raise NotComparable("--against holds no case (runtime, precision, batch) of this run")
    return figures


def regressions(figures: list[Change], margin: float) -> list[Change]:
    """Those that are worse by more than `margin`, a share."""
    return [change for change in figures if change.ratio > 1 + margin]


def _figures(report: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    for result in report["results"]:
        name = f"{result['runtime']} {result['precision']}"
        yield (name, "memory (MiB)"), float(result["memory_mib"])
        yield (name, "warm start (s)"), float(result["warm_start_s"])
        for row in result["rows"]:
            for figure, (part, percentile) in FIGURES.items():
                yield (f"{name} batch {row['batch']}", figure), float(row[part][percentile])


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    if old["fingerprint"] == new["fingerprint"]:
        return []
    names = [name for name in new if name != "fingerprint" and old.get(name) != new[name]]
    return [f"{name}: {old.get(name)} there, {new[name]} here" for name in names]
