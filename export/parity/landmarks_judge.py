"""The parity judge of landmark graphs: boxes, landmarks, scores and sides against torch. Fails closed.

Candidates with nearly equal scores may change places, so each is compared with the nearest one of the same photo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.landmarks import OUTPUTS

PLACE_PX = 0.5
"""Largest error of a box edge or landmark, pixels of the 640 px letterbox."""
PROBABILITY = 0.01
"""Largest error of a score, a visibility or a side's probability."""
LEAST_SPREAD_PX = 0.01
"""Photos must be told apart: boxes that never vary agree perfectly and say nothing."""

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class EarParity:
    """The figures, the worst of all candidates and batch sizes."""

    photos: int
    box_error_px: float
    point_error_px: float
    probability_error: float
    refusals: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON in the manifest."""
        return {**asdict(self), "refusals": list(self.refusals), "passed": not self.refusals}


def judge_ears(expected: Outputs, outputs: Mapping[str, Outputs]) -> EarParity:
    """Compare.

    Args:
        expected: torch's outputs for N photos.
        outputs: a runtime's, by how it was run.
    """
    photos = len(expected["boxes"])
    broken = [f"{how}: {text}" for how, run in outputs.items() for text in _unusable(expected, run)]
    if photos < 2:
        broken.append("one photo cannot show that the output varies: give at least 2")
    elif not float(np.ptp(expected["boxes"], axis=0).max()) > LEAST_SPREAD_PX:
        broken.append("torch finds the same boxes in every photo: nothing is compared")
    if broken:
        return EarParity(photos, float("inf"), float("inf"), float("inf"), tuple(broken))
    worst = np.max([_worst(expected, run) for run in outputs.values()], axis=0)
    limits = {"box error (px)": PLACE_PX, "point error (px)": PLACE_PX, "error of a probability": PROBABILITY}
    texts = [
        f"{name} {value:.4g} is above {limit:g}"
        for (name, limit), value in zip(limits.items(), worst, strict=True)
        if not value <= limit
    ]
    box, point, probability = (float(value) for value in worst)
    return EarParity(photos, box, point, probability, tuple(texts))


def _worst(expected: Outputs, actual: Outputs) -> tuple[float, float, float]:
    """Largest errors of boxes, points and probabilities, each candidate against its nearest."""
    photos = np.arange(len(expected["boxes"]))[:, None]
    apart = np.abs(expected["boxes"][:, :, None] - actual["boxes"][:, None]).max(axis=3)  # (N, theirs, ours)
    apart = apart + 100 * np.abs(expected["scores"][:, :, None] - actual["scores"][:, None])
    nearest = apart.argmin(axis=2)
    error = {name: np.abs(expected[name] - actual[name][photos, nearest]) for name in OUTPUTS}
    probabilities = [float(error[name].max()) for name in ("scores", "visibilities", "sides")]
    return float(error["boxes"].max()), float(error["points"].max()), max(probabilities)


def _unusable(expected: Outputs, actual: Outputs) -> list[str]:
    texts = []
    for name in OUTPUTS:
        if name not in actual or actual[name].shape != expected[name].shape:
            texts.append(f"{name} is {actual[name].shape if name in actual else 'missing'}, not {expected[name].shape}")
        elif not np.isfinite(actual[name]).all():
            texts.append(f"{name} is not finite")
    return texts
