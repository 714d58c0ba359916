"""Who is found: identification and verification figures, by slice, by what is known of the side, and in an open set.

Works on vectors; where they come from is not known here.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.bootstrap import evaluate_intervals
from measure.calibration import Calibration, calibrate, set_in_words
from measure.errors import MeasureError
from measure.open_set import open_set
from measure.protocol import Comparison, Scores, compare, gallery_query_split, score

Vectors = NDArray[np.float32]
FIGURES = ("rank1", "rank5", "eer", "auc", "tar_at_1e2", "tar_at_1e3")


def summary(scores: Scores) -> dict[str, Any]:
    """The plain numbers of `Scores`."""
    values: dict[str, Any] = {name: getattr(scores, name) for name in FIGURES}
    return {**values, "subjects": scores.subjects, "queries": scores.queries}


def with_intervals(embedding: Vectors, subjects: Sequence[Hashable], samples: int, gallery: int = 2) -> dict[str, Any]:
    """`summary` plus 95 % intervals over subjects, (low, high) by name."""
    figures = summary(score(compare(embedding, subjects, gallery)))
    intervals = evaluate_intervals(embedding, subjects, per_subject=gallery, samples=samples)
    return {**figures, "intervals": {name: [i.low, i.high] for name, i in intervals.items()}}


def open_figures(embedding: Vectors, subjects: Sequence[Hashable], gallery: int = 2) -> dict[str, Any]:
    """Open-set figures: every second subject is taken out of the gallery."""
    pairs = compare(embedding, subjects, gallery)
    figures = open_set(pairs.similarity, pairs.query_ids, pairs.gallery_ids)
    rates = {f"dir_at_fpir_{rate:g}": value for rate, value in figures.dir_at_fpir.items()}
    return {**rates, "enrolled": figures.enrolled, "strangers": figures.strangers}


def calibration(embedding: Vectors, subjects: Sequence[Hashable], gallery: int = 2, name: str = "") -> Calibration:
    """Similarity -> probability, and thresholds at stated false-accept rates. name: of the pictures."""
    pairs = compare(embedding, subjects, gallery)
    genuine, impostor = pairs.similarity[pairs.same], pairs.similarity[~pairs.same]
    return calibrate(genuine, impostor, calibrated_on=set_in_words(name, subjects))


def sliced(
    embedding: Vectors, columns: Mapping[str, Sequence[str | None]], subjects: Sequence[Hashable], gallery: int = 2
) -> list[dict[str, Any]]:
    """Figures of parts of the pictures, by columns (see `training.evaluation.choice.slice_columns`).

    Something that belongs to the person (all pictures of a subject share it) divides gallery and queries; something
    that belongs to the picture divides the queries, and the gallery stays whole.
    """
    pairs, queries = compare(embedding, subjects, gallery), gallery_query_split(subjects, gallery).queries
    rows = []
    for attribute, values in columns.items():
        personal = _belongs_to_person(values, subjects)
        for value in sorted({v for v in values if v is not None}):
            chosen = np.array([v == value for v in values])
            try:
                if personal:
                    part = [s for s, keep in zip(subjects, chosen, strict=True) if keep]
                    figures = summary(score(compare(embedding[chosen], part, gallery)))
                else:
                    figures = summary(score(_rows(pairs, chosen[queries])))
            except MeasureError:  # too few of them
                continue
            rows.append({"attribute": attribute, "value": value, "of": "person" if personal else "picture", **figures})
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
    return all(len(own) == 1 for own in seen.values())


def by_side_knowledge(
    left: Vectors,
    mirrored: Vectors,
    sides: Sequence[str | None],
    subjects: Sequence[Hashable],
    gallery: int = 2,
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
    as_known, as_posted = compare(left, subjects, gallery), compare(posted, subjects, gallery)
    split = gallery_query_split(subjects, gallery)
    other = flipped[split.queries] @ posted[split.gallery].T
    best = np.maximum(as_posted.similarity, other)
    both = Comparison(best, as_posted.query_ids, as_posted.gallery_ids, as_posted.same)
    return {"known": summary(score(as_known)), "unknown": summary(score(both))}
