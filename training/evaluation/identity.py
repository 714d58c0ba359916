"""Who is found: identification and verification figures, by slice, by what is known of the side, and in an open set.

Works on vectors; where they come from is not known here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.bootstrap import evaluate_intervals
from measure.calibration import Calibration, calibrate
from measure.errors import MeasureError
from measure.open_set import open_set
from measure.protocol import Comparison, Scores, compare, gallery_query_split, score
from training.data.records import EarRecord

Vectors = NDArray[np.float32]
FIGURES = ("rank1", "rank5", "eer", "auc", "tar_at_1e2", "tar_at_1e3")


def summary(scores: Scores) -> dict[str, Any]:
    """The plain numbers of `Scores`."""
    values: dict[str, Any] = {name: getattr(scores, name) for name in FIGURES}
    return {**values, "subjects": scores.subjects, "queries": scores.queries}


def with_intervals(embedding: Vectors, subjects: Sequence[Hashable], samples: int) -> dict[str, Any]:
    """`summary` plus 95 % intervals over subjects, (low, high) by name."""
    found = summary(score(compare(embedding, subjects)))
    intervals = evaluate_intervals(embedding, subjects, samples=samples)
    return {**found, "intervals": {name: [i.low, i.high] for name, i in intervals.items()}}


def open_figures(embedding: Vectors, subjects: Sequence[Hashable]) -> dict[str, Any]:
    """Open-set figures: every second subject is taken out of the gallery."""
    pairs = compare(embedding, subjects)
    found = open_set(pairs.similarity, pairs.query_ids, pairs.gallery_ids)
    rates = {f"dir_at_fpir_{rate:g}": value for rate, value in found.dir_at_fpir.items()}
    return {**rates, "enrolled": found.enrolled, "strangers": found.strangers}


def calibration(embedding: Vectors, subjects: Sequence[Hashable]) -> Calibration:
    """Similarity -> probability, and thresholds at stated false-accept rates."""
    pairs = compare(embedding, subjects)
    return calibrate(pairs.similarity[pairs.same], pairs.similarity[~pairs.same])


def sliced(embedding: Vectors, records: Sequence[EarRecord], subjects: Sequence[Hashable]) -> list[dict[str, Any]]:
    """Figures of parts of the pictures.

    Something that belongs to the person (all pictures of a subject share it) divides gallery and queries; something
    that belongs to the picture divides the queries, and the gallery stays whole.
    """
    pairs, queries = compare(embedding, subjects), gallery_query_split(subjects).queries
    rows = []
    for attribute, values in attributes_of(records).items():
        personal = _belongs_to_person(values, subjects)
        for value in sorted({v for v in values if v is not None}):
            chosen = np.array([v == value for v in values])
            try:
                if personal:
                    part = [s for s, keep in zip(subjects, chosen, strict=True) if keep]
                    found = summary(score(compare(embedding[chosen], part)))
                else:
                    found = summary(score(_rows(pairs, chosen[queries])))
            except MeasureError:  # too few of them
                continue
            rows.append({"attribute": attribute, "value": value, "of": "person" if personal else "picture", **found})
    return rows


def _rows(pairs: Comparison, chosen: NDArray[np.bool_]) -> Comparison:
    ids = [name for name, keep in zip(pairs.query_ids, chosen, strict=True) if keep]
    if not ids:
        raise MeasureError("no queries")
    return Comparison(pairs.similarity[chosen], ids, pairs.gallery_ids, pairs.same[chosen])


def _belongs_to_person(values: Sequence[str | None], subjects: Sequence[Hashable]) -> bool:
    seen: dict[Hashable, set[str | None]] = {}
    for subject, value in zip(subjects, values, strict=True):
        seen.setdefault(subject, set()).add(value)
    return all(len(found) == 1 for found in seen.values())


def attributes_of(records: Sequence[EarRecord]) -> dict[str, list[str | None]]:
    """What to slice by: side, appearance, occlusion, light where the data tells, and the pose in steps of its size."""
    columns: dict[str, list[str | None]] = {"side": [record.side for record in records]}
    for name in ("appearance", "occluded", "light"):
        columns[name] = [record.attributes.get(name) for record in records]
    columns["pose"] = [_pose(record) for record in records]
    return {name: values for name, values in columns.items() if len({v for v in values if v is not None}) > 1}


def _pose(record: EarRecord) -> str | None:
    """How far the head is turned: the larger of yaw and pitch, degrees."""
    try:
        angle = max(abs(float(record.attributes[name])) for name in ("yaw", "pitch"))
    except (KeyError, ValueError):
        return None
    return "under 8 degrees" if angle < 8 else "8 to 16 degrees" if angle < 16 else "over 16 degrees"


def by_side_knowledge(
    left: Vectors, mirrored: Vectors, sides: Sequence[str | None], subjects: Sequence[Hashable]
) -> dict[str, Any]:
    """What it costs not to know the side.

    Args:
        left, mirrored: (N, D) of each picture in left orientation, and of its mirror image.
        sides: as known; a picture of unknown side counts as left.
        subjects: N identities.

    Returns:
        Figures where the side is known, and where it is not: pictures are then enrolled as they were posted, and each
        query is searched in both orientations, the better one counting.
    """
    turned = np.array([side == "right" for side in sides])[:, None]
    posted, flipped = np.where(turned, mirrored, left), np.where(turned, left, mirrored)
    known, one = compare(left, subjects), compare(posted, subjects)
    split = gallery_query_split(subjects)
    other = flipped[split.queries] @ posted[split.gallery].T
    both = Comparison(np.maximum(one.similarity, other), one.query_ids, one.gallery_ids, one.same)
    return {"known": summary(score(known)), "unknown": summary(score(both))}
