"""The int8 encoder of a bundle: shipped if and only if it passes the gate AND is faster here than float32.

What became of it is told in either case. The decoder is convolutions, which dynamic quantisation leaves alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.runtimes import open_session
from export.bench.ab_latency import Race, race
from export.graph.int8 import write_int8
from export.graph.wrappers import ENCODER_INPUT
from export.parity.judge import ParityRow
from export.parity.variants import RUNTIME, Reference, file_name, judge_variant

MOST_RATIO = 0.95
"""Largest share of float32's time that int8 may take, at every batch size raced, to be worth its error."""
BATCHES = (1, 8)
SLOW_MS = 2000.0
"""Where one crop takes longer, one crop is all that is raced."""


@dataclass(frozen=True)
class Int8Outcome:
    """What became of the int8 encoder."""

    rows: tuple[ParityRow, ...]
    races: tuple[Race, ...] = ()
    why_not: str | None = None
    """One sentence; None: it is in the bundle."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values for the manifest, beside the parity rows."""
        return {
            "shipped": self.why_not is None,
            "why_not": self.why_not,
            "races": [one.to_dict() for one in self.races],
        }


def add_int8(
    folder: Path, reference: Reference, max_batch: int, tell: Callable[[str], None] = lambda _: None
) -> Int8Outcome:
    """Quantise the float32 encoder in `folder`, judge it, race it; the file stays only where both went well."""
    path = folder / file_name("encoder", "int8")
    tell(f"{path.name}: quantising")
    write_int8(folder / file_name("encoder", "fp32"), path)
    rows = tuple(judge_variant(path, "encoder", "int8", reference, max_batch, tell))
    if refusals := [text for row in rows for text in row.refusals]:
        path.unlink()
        return Int8Outcome(rows, why_not=f"the gate refused it: {refusals[0]}")
    tell(f"{path.name}: racing float32")
    races = _races(folder, reference)
    slow = [one for one in races if one.ratio > MOST_RATIO]
    if not slow:
        return Int8Outcome(rows, races)
    path.unlink()
    worst = max(slow, key=lambda one: one.ratio)
    why_not = (
        f"it passed the gate but takes {worst.ratio:.2f} of float32's time at batch {worst.batch} on this machine; "
        f"at most {MOST_RATIO:.2f} is worth its error"
    )
    return Int8Outcome(rows, races, why_not)


def _races(folder: Path, reference: Reference) -> tuple[Race, ...]:
    paths = [folder / file_name("encoder", "fp32"), folder / file_name("encoder", "int8")]
    first, second = (open_session(path, RUNTIME) for path in paths)
    races: list[Race] = []
    try:
        for batch in BATCHES:
            if races and races[0].first_ms > SLOW_MS:
                break
            pixels = reference.crops.pixels[:batch]
            races.append(race(first, second, {ENCODER_INPUT: pixels}))
    finally:
        first.close()
        second.close()
    return tuple(races)
