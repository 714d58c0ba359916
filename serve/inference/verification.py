"""Two ears against each other: in which orientations they are compared, and what their similarity is worth.

Pure values over embeddings. A calibration turns a similarity into a probability; into a verdict only one of the
gallery's own ears does, or the caller's own threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.calibration import NOT_RECORDED, Calibration
from serve.inference.orientation import Side, is_mirrored

Vector = NDArray[np.float32]
USUAL_FAR = 0.01


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
class Evidence:
    """What similarities are judged by: a calibration, and whose.

    subjects: people with pairs behind it, where that is known. own: made of the gallery's own labelled ears; only then
    do its rates say something of the caller's pictures. mean: (D,) float32, of the gallery, where the calibration is of
    vectors less it.
    """

    calibration: Calibration
    own: bool = False
    subjects: int | None = None
    mean: Vector | None = None


def of_bundle(calibration: Mapping[str, Any] | None) -> Evidence | None:
    """What a bundle brings; None where it has no calibration."""
    return None if calibration is None else Evidence(Calibration.from_dict(calibration))


def of_gallery(document: Mapping[str, Any], mean: Vector | None) -> Evidence:
    """What `Gallery.calibrate` kept. mean: of the gallery, where the document is of centred vectors."""
    fitted = Calibration.from_dict(document["calibration"])
    return Evidence(fitted, True, document["calibrated_on"]["subjects"], mean)


@dataclass(frozen=True)
class Judgement:
    """What a similarity is worth: the fields of `client.models.Verdict` that follow from it."""

    probability: float | None = None
    same: bool | None = None
    reason: str | None = None
    far: float | None = None
    threshold: float | None = None
    tar: float | None = None
    calibrated: bool = False
    calibrated_on: str | None = None
    centred: bool | None = None
    subjects: int | None = None
    genuine_pairs: int | None = None
    impostor_pairs: int | None = None
    false_accepts: int | None = None


NO_CALIBRATION = "there is no calibration of such similarities"
CURE = (
    "calibrate on the gallery's own labelled ears (POST /v1/calibrations, `ear-teacher calibrate`), or give a "
    "threshold of your own"
)


def judge(
    similarity: float,
    evidence: Evidence | None,
    far: float | None = None,
    threshold: float | None = None,
    comparisons: int = 1,
) -> Judgement:
    """Probability and verdict of a similarity.

    threshold: the caller's own: it decides. Without it, the gallery's own calibration decides, at the false-accept rate
    `far` of one comparison (0.01 where None); a bundle's never does, since its rates are those of other pictures.
    comparisons: of how many `similarity` is the best. Each may accept two different ears, so together they do at most
    `comparisons` times as often (union bound). Raises MeasureError where the rate was not calibrated.
    """
    judged = Judgement() if evidence is None else _worth(similarity, evidence, comparisons)
    if threshold is not None:
        return replace(judged, same=similarity >= threshold, threshold=threshold)
    if evidence is None:
        return replace(judged, reason=f"no verdict: {NO_CALIBRATION}; {CURE}")
    if not evidence.own:
        made_on = evidence.calibration.calibrated_on
        words = "made on pictures that it does not name" if made_on == NOT_RECORDED else f"made on {made_on}"
        return replace(
            judged, reason=f"no verdict: the bundle's calibration was {words}, not on this gallery's; {CURE}"
        )
    point = evidence.calibration.at_far(USUAL_FAR if far is None else far)
    return replace(
        judged,
        same=similarity >= point.threshold,
        far=min(1.0, comparisons * point.far),
        threshold=point.threshold,
        tar=point.tar,
        false_accepts=point.false_accepts,
    )


def _worth(similarity: float, evidence: Evidence, comparisons: int) -> Judgement:
    fitted = evidence.calibration
    return Judgement(
        probability=float(fitted.probability(similarity, comparisons)),
        calibrated=True,
        calibrated_on=fitted.calibrated_on,
        centred=evidence.mean is not None if evidence.own else None,
        subjects=evidence.subjects,
        genuine_pairs=fitted.genuine_pairs,
        impostor_pairs=fitted.impostor_pairs,
    )
