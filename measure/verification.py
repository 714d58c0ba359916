"""Is it the same ear? ROC, equal error rate, area, and true-accept rates at stated false-accept rates.

A pair is accepted when its similarity is at or above the threshold. Nothing is interpolated but the EER, so a rate or a
threshold is one that the scores given really reach. Knows nothing of subjects: callers say which pairs are genuine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from measure.errors import MeasureError

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Roc:
    """Rates from the strictest threshold to the laxest; (T,) float64 each, from (0, 0) to (1, 1)."""

    far: Curve
    """False-accept rate: impostor pairs accepted."""
    tar: Curve
    """True-accept rate: genuine pairs accepted."""
    thresholds: Curve
    """Accept at or above; the first is +inf (nothing accepted)."""


def roc(
    genuine: ArrayLike,
    impostor: ArrayLike,
    genuine_weights: ArrayLike | None = None,
    impostor_weights: ArrayLike | None = None,
) -> Roc:
    """The ROC of genuine and impostor similarities; weights, where given, count a score more than once (bootstrap)."""
    accepted, accepted_weights = _scores(genuine, genuine_weights, "genuine")
    rejected, rejected_weights = _scores(impostor, impostor_weights, "impostor")
    scores = np.concatenate([accepted, rejected])
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    hits = np.concatenate([accepted_weights, np.zeros_like(rejected_weights)])[order].cumsum()
    alarms = np.concatenate([np.zeros_like(accepted_weights), rejected_weights])[order].cumsum()
    last = np.append(scores[1:] != scores[:-1], True)  # equal scores are accepted together
    return Roc(
        far=np.append(0.0, alarms[last] / alarms[-1]),
        tar=np.append(0.0, hits[last] / hits[-1]),
        thresholds=np.append(np.inf, scores[last]),
    )


def eer(curve: Roc) -> float:
    """Equal error rate: where false accepts equal false rejects, by linear interpolation between two thresholds."""
    gap = curve.far - (1.0 - curve.tar)
    after = int(np.argmax(gap >= 0.0))
    if gap[after] == 0.0:
        return float(curve.far[after])
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(curve.far[before] + share * (curve.far[after] - curve.far[before]))


def auc(curve: Roc) -> float:
    """Area under the ROC: the chance that a genuine pair scores above an impostor pair (ties count half)."""
    return float(np.trapezoid(curve.tar, curve.far))


def tar_at_far(curve: Roc, far: float) -> float:
    """The true-accept rate at the laxest threshold whose false-accept rate is at most `far` (0 to 1)."""
    return float(curve.tar[_at(curve, far)])


def threshold_at_far(curve: Roc, far: float) -> float:
    """The laxest threshold whose false-accept rate is at most `far`; +inf where only accepting nothing reaches it."""
    return float(curve.thresholds[_at(curve, far)])


def _at(curve: Roc, far: float) -> int:
    if not 0.0 <= far <= 1.0:
        raise MeasureError(f"false-accept rate is {far}; allowed are 0 to 1")
    return int(np.searchsorted(curve.far, far, side="right")) - 1


def _scores(values: ArrayLike, weights: ArrayLike | None, name: str) -> tuple[Curve, Curve]:
    scores = np.asarray(values, dtype=np.float64).ravel()
    counts = np.ones_like(scores) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    if scores.shape != counts.shape:
        raise MeasureError(f"{len(counts)} weights for {len(scores)} {name} scores")
    if scores.size == 0 or counts.sum() <= 0:
        raise MeasureError(f"no {name} scores: a ROC needs pairs of one ear and pairs of different ears")
    if not np.isfinite(scores).all():
        raise MeasureError(f"{name} scores must be finite")
    return scores, counts
