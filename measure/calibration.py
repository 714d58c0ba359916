"""Similarity -> probability that two pictures show one ear, and thresholds at stated false-accept rates.

Platt scaling (1999) with the targets of Lin, Lin and Weng (2007); genuine and impostor pairs weigh the same, so the
probability is for EVEN prior odds and callers with other odds must say so. Travels as JSON in a bundle's manifest.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from measure.errors import MeasureError
from measure.verification import roc, tar_at_far, threshold_at_far

FARS = (0.1, 0.01, 0.001, 0.0001)
NOT_RECORDED = "not recorded"
"""`Calibration.calibrated_on` of one that was kept before this was written down."""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it was measured to do."""

    far: float
    """False-accept rate that it keeps to."""
    threshold: float
    """Accept at this similarity and above."""
    tar: float
    """Genuine pairs accepted."""
    false_accepts: int = 0
    """How many impostor pairs were accepted: what the rate stands on."""


@dataclass(frozen=True)
class Calibration:
    """probability = 1 / (1 + exp(-(slope * similarity + intercept)))."""

    slope: float
    intercept: float
    points: tuple[OperatingPoint, ...]
    """By falling false-accept rate; only rates that the impostor pairs were enough to measure."""
    genuine_pairs: int
    impostor_pairs: int
    calibrated_on: str = NOT_RECORDED
    """In words, which pictures the pairs are of: on others the rates do not hold."""

    def probability(self, similarity: ArrayLike, comparisons: int = 1) -> NDArray[np.float64]:
        """0 to 1, of the shape given, for even prior odds.

        comparisons: of how many the similarity is the best. Different ears have that many tries to reach it, so the
        odds are divided by their number: a lower bound, as long as of one ear's comparisons all but one behave as
        those of different ears do.
        """
        logits = self.slope * np.asarray(similarity, dtype=np.float64) + self.intercept
        return np.exp(_log_sigmoid(logits - math.log(comparisons)))

    def at_far(self, far: float) -> OperatingPoint:
        """The operating point of a stated rate, or MeasureError with the rates there are."""
        for point in self.points:
            if math.isclose(point.far, far, rel_tol=1e-6):
                return point
        rates = ", ".join(f"{point.far:g}" for point in self.points) or "none"
        raise MeasureError(f"no threshold was calibrated for a false-accept rate of {far:g}; there are: {rates}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` gives the same Calibration back."""
        return vars(self) | {"points": [vars(point).copy() for point in self.points]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Raises MeasureError where an entry is missing or unknown."""
        try:
            points = tuple(OperatingPoint(**point) for point in values["points"])
            return cls(**(dict(values) | {"points": points}))
        except (KeyError, TypeError) as error:
            raise MeasureError(f"not a calibration: {error}") from error


def set_in_words(name: str, subjects: Sequence[Hashable]) -> str:
    """`Calibration.calibrated_on` of pictures of these subjects, one entry a picture."""
    return f"{name}: {len(subjects):,} pictures of {len(set(subjects)):,} people"


def calibrate(
    genuine: ArrayLike, impostor: ArrayLike, fars: Sequence[float] = FARS, calibrated_on: str = NOT_RECORDED
) -> Calibration:
    """Fit on similarities of genuine and impostor pairs of the pictures that `calibrated_on` names.

    A rate `far` gets a threshold only where at least one false accept is expected among the impostors (far x N >= 1).
    Raises MeasureError where either kind of pair is absent.
    """
    curve = roc(genuine, impostor)
    same, different = np.ravel(np.asarray(genuine, np.float64)), np.ravel(np.asarray(impostor, np.float64))
    slope, intercept = _platt(same, different)
    points = tuple(
        OperatingPoint(
            far,
            threshold_at_far(curve, far),
            tar_at_far(curve, far),
            int(np.count_nonzero(different >= threshold_at_far(curve, far))),
        )
        for far in sorted(fars, reverse=True)
        if far * len(different) >= 1.0 and math.isfinite(threshold_at_far(curve, far))
    )
    return Calibration(slope, intercept, points, len(same), len(different), calibrated_on)


def _platt(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> tuple[float, float]:
    from scipy.optimize import minimize  # it takes long to import, and who only judges similarities never fits

    scores = np.concatenate([genuine, impostor])
    high, low = (len(genuine) + 1.0) / (len(genuine) + 2.0), 1.0 / (len(impostor) + 2.0)
    targets = np.concatenate([np.full(len(genuine), high), np.full(len(impostor), low)])
    weights = np.concatenate([np.full(len(genuine), 0.5 / len(genuine)), np.full(len(impostor), 0.5 / len(impostor))])
    # Standardised scores make the problem well conditioned whatever the scale of the similarity.
    centre, scale = float(scores.mean()), float(scores.std()) or 1.0
    standard = (scores - centre) / scale

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = parameters[0] * standard + parameters[1]
        value = -(weights * (targets * _log_sigmoid(logits) + (1.0 - targets) * _log_sigmoid(-logits))).sum()
        slope = weights * (np.exp(_log_sigmoid(logits)) - targets)
        return float(value), np.asarray([(slope * standard).sum(), slope.sum()])

    fit = minimize(loss, np.zeros(2), jac=True, method="BFGS")
    slope = float(fit.x[0]) / scale
    return slope, float(fit.x[1]) - slope * centre


def _log_sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-np.logaddexp(0.0, -logits))
