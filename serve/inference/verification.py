"""Two ears against each other: in which orientations they are compared, and what their similarity is worth.

Pure values over embeddings; the bundle's calibration turns a similarity into a probability and a decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.calibration import Calibration
from serve.inference.orientation import Side, is_mirrored

Vector = NDArray[np.float32]


def orientations(side: Side) -> tuple[bool, ...]:
    """Whether to mirror the picture, for each orientation in which it may lie: one where the side is known."""
    return (False, True) if side == "unknown" else (is_mirrored(side),)


def compared(first: Side, second: Side) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Orientations of both pictures. Of two unknown sides only one is turned: turning both says nothing new."""
    if first == second == "unknown":
        return (False,), (False, True)
    return orientations(first), orientations(second)


def best_pair(first: list[Vector], second: list[Vector]) -> tuple[float, int, int]:
    """(similarity, which of the first, which of the second) of the best pair; unit vectors (D,) float32 each."""
    similarities = np.stack(first) @ np.stack(second).T
    a, b = np.unravel_index(int(similarities.argmax()), similarities.shape)
    return float(similarities[a, b]), int(a), int(b)


@dataclass(frozen=True)
class Verdict:
    """What a similarity is worth. Without a calibration in the bundle nothing but the similarity is known.

    probability: that it is one ear, for even prior odds. same: accepted at `threshold`, which keeps to the rate `far`
    of false accepts; it accepted the share `tar` of genuine pairs when it was measured. Where a side is unknown the
    better of two comparisons is judged: `far` is an upper bound then, `probability` and `tar` are lower ones.
    """

    probability: float | None = None
    same: bool | None = None
    far: float | None = None
    threshold: float | None = None
    tar: float | None = None
    calibrated: bool = False


def judge(similarity: float, calibration: Mapping[str, Any] | None, far: float, comparisons: int = 1) -> Verdict:
    """The verdict at the threshold of a stated false-accept rate, which is that of one comparison.

    comparisons: of how many `similarity` is the best. Each may accept two different ears, so together they do at most
    `comparisons` times as often (union bound). Raises MeasureError where the rate was not calibrated.
    """
    if calibration is None:
        return Verdict()
    fitted = Calibration.from_dict(calibration)
    point = fitted.at_far(far)
    return Verdict(
        probability=float(fitted.probability(similarity, comparisons)),
        same=similarity >= point.threshold,
        far=min(1.0, comparisons * point.far),
        threshold=point.threshold,
        tar=point.tar,
        calibrated=True,
    )
