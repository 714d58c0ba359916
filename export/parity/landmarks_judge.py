"""Judges what a runtime said of photos against what torch said: boxes, landmarks, scores, sides. Fails closed.

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
CHANCE = 0.01
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
    chance_error: float
    refusals: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON in the manifest."""
        return {**asdict(self), "refusals": list(self.refusals), "passed": not self.refusals}


def judge_ears(wanted: Outputs, given: Mapping[str, Outputs]) -> EarParity:
    """Compare.

    Args:
        wanted: torch's outputs for N photos.
        given: a runtime's, by what it was run with.
    """
    photos = len(wanted["boxes"])
    broken = [f"{how}: {text}" for how, outputs in given.items() for text in _unusable(wanted, outputs)]
    if photos < 2:
        broken.append("one photo cannot show that the output varies: give at least 2")
    elif not float(np.ptp(wanted["boxes"], axis=0).max()) > LEAST_SPREAD_PX:
        broken.append("torch finds the same boxes in every photo: nothing is compared")
    if broken:
        return EarParity(photos, float("inf"), float("inf"), float("inf"), tuple(broken))
    worst = np.max([_worst(wanted, outputs) for outputs in given.values()], axis=0)
    limits = {"box error (px)": PLACE_PX, "point error (px)": PLACE_PX, "error of a probability": CHANCE}
    texts = [
        f"{name} {value:.4g} is above {limit:g}"
        for (name, limit), value in zip(limits.items(), worst, strict=True)
        if not value <= limit
    ]
    box, point, chance = (float(value) for value in worst)
    return EarParity(photos, box, point, chance, tuple(texts))


def _worst(wanted: Outputs, given: Outputs) -> tuple[float, float, float]:
    """Largest errors of boxes, points and probabilities, each candidate against its nearest."""
    photos = np.arange(len(wanted["boxes"]))[:, None]
    apart = np.abs(wanted["boxes"][:, :, None] - given["boxes"][:, None]).max(axis=3)  # (N, theirs, ours)
    apart = apart + 100 * np.abs(wanted["scores"][:, :, None] - given["scores"][:, None])
    nearest = apart.argmin(axis=2)
    error = {name: np.abs(wanted[name] - given[name][photos, nearest]) for name in OUTPUTS}
    chances = [float(error[name].max()) for name in ("scores", "visibilities", "sides")]
    return float(error["boxes"].max()), float(error["points"].max()), max(chances)


def _unusable(wanted: Outputs, given: Outputs) -> list[str]:
    texts = []
    for name in OUTPUTS:
        if name not in given or given[name].shape != wanted[name].shape:
            texts.append(f"{name} is {given[name].shape if name in given else 'missing'}, not {wanted[name].shape}")
        elif not np.isfinite(given[name]).all():
            texts.append(f"{name} is not finite")
    return texts
