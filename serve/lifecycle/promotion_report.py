"""What changes for searchers if a new encoder answers: neighbours, figures on labelled ears, similarities, thresholds.

Measured on the gallery itself, before anything is switched. Knows the gallery's spaces; decides only against limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index.items import Item
from measure.errors import MeasureError
from serve.inference.engine import Engine
from serve.settings import Settings

if TYPE_CHECKING:
    from index.gallery import Gallery

SAMPLE = 2000
PER_IDENTITY = 2
"""Pictures of an identity that play gallery; the others are its queries."""


def measure_promotion(gallery: Gallery, old: str, new: str) -> dict[str, Any]:
    """The report of a promotion from space `old` to space `new`."""
    compared = gallery.spaces.compare(old, new)
    paired = gallery.spaces.paired(old, new, SAMPLE)
    before, after = _scores(paired.a, paired.items), _scores(paired.b, paired.items)
    return {
        "sample": compared.sample,
        "overlap": {str(k): round(share, 4) for k, share in compared.overlap.items()},
        "nearest_similarity": {"before": compared.similarity_a, "after": compared.similarity_b},
        "before": before,
        "after": after,
        "thresholds": _thresholds(paired.b, paired.items),
        "worst_subjects": [{"subject": name, "overlap10": round(share, 4)} for name, share in compared.worst_subjects],
    }


def lost_abilities(old: Engine, new: Engine) -> list[str]:
    """What requests would no longer get from the new bundle, each with the cure; empty where nothing is lost."""
    lost = []
    if old.has_landmarks and not new.has_landmarks:
        lost.append("landmarks are lost (detect would be 404): add them with `ear-teacher detector export`")
    if old.model.manifest.calibration is not None and new.model.manifest.calibration is None:
        lost.append(
            "the calibration is lost (/v1/verify would give no probability): export it with evaluation pictures"
        )
    if old.eigenears is not None and new.eigenears is None:
        lost.append("the eigenears are lost (/v1/explain and sliders would fail): export it with its training latents")
    return lost


def objections(report: dict[str, Any], limits: Settings) -> list[str]:
    """Why a promotion with this report should not be activated; empty where nothing speaks against it.

    Neighbour overlap is asked only of galleries with too few labels to measure rank-1 and EER.
    """
    before, after = report["before"], report["after"]
    if before is None or after is None:
        overlap = report["overlap"].get("10", 0.0)
        if report["sample"] and overlap < limits.promotion_min_overlap10:
            return [f"neighbour overlap at 10 is {overlap:.2f}; at least {limits.promotion_min_overlap10:g} is asked"]
        return []
    reasons = []
    if (drop := before["rank1"] - after["rank1"]) > limits.promotion_max_rank1_drop:
        reasons.append(f"rank-1 falls by {drop:.3f}; at most {limits.promotion_max_rank1_drop:g} is allowed")
    if (rise := after["eer"] - before["eer"]) > limits.promotion_max_eer_rise:
        reasons.append(f"EER rises by {rise:.3f}; at most {limits.promotion_max_eer_rise:g} is allowed")
    return reasons


def _identities(items: Sequence[Item]) -> tuple[list[int], list[tuple[str, str | None]]]:
    rows = [row for row, item in enumerate(items) if item.subject is not None]
    return rows, [(str(items[row].subject), items[row].side) for row in rows]


def _scores(vectors: NDArray[np.float32], items: Sequence[Item]) -> dict[str, float] | None:
    """Rank-1 and EER on the labelled ears; None where too few identities have several pictures."""
    from measure.protocol import evaluate  # scipy takes long to import

    rows, identities = _identities(items)
    try:
        scores = evaluate(vectors[rows], identities, PER_IDENTITY)
    except MeasureError:
        return None
    return {"rank1": scores.rank1, "eer": scores.eer, "queries": scores.queries, "identities": scores.subjects}


def _thresholds(vectors: NDArray[np.float32], items: Sequence[Item]) -> dict[str, Any] | None:
    """A calibration of the new space on this gallery's own labelled pairs; None where there are too few."""
    from measure.calibration import calibrate

    rows, identities = _identities(items)
    if len(rows) < 2:
        return None
    similarity = vectors[rows] @ vectors[rows].T
    names = {identity: number for number, identity in enumerate(dict.fromkeys(identities))}
    codes = np.array([names[identity] for identity in identities])
    upper = np.triu(np.ones(similarity.shape, bool), k=1)
    same = (codes[:, None] == codes[None, :]) & upper
    try:
        return calibrate(similarity[same], similarity[~same & upper]).to_dict()
    except MeasureError:
        return None
