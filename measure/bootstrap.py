"""Confidence intervals by resampling SUBJECTS: pictures of one person are not independent, so rows are not resampled.

The subset bootstrap of Bolle, Ratha and Pankanti (2004): draw subjects with replacement, keep all scores of each drawn
subject's queries, leave the gallery as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from measure.errors import MeasureError
from measure.identification import match_ranks
from measure.protocol import Comparison, compare
from measure.verification import auc, eer, roc, tar_at_far

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure and its percentile interval."""

    value: float
    low: float
    high: float
    confidence: float


def bootstrap(
    subjects: Sequence[Hashable],
    statistics: Callable[[Counts], dict[str, float]],
    samples: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals of several figures. `statistics` takes (N,) counts: how often each row is drawn (all 1: the data).

    subjects: N identities, one a row. samples: resamplings. Raises MeasureError for fewer than 2 subjects.
    """
    names = list(dict.fromkeys(subjects))
    if len(names) < 2:
        raise MeasureError(f"{len(names)} subject: resampling subjects needs at least 2")
    if samples < 2 or not 0.0 < confidence < 1.0:
        raise MeasureError(f"samples is {samples} (at least 2), confidence is {confidence} (between 0 and 1)")
    number = {name: index for index, name in enumerate(names)}
    rows = np.asarray([number[subject] for subject in subjects])
    rng = np.random.default_rng(seed)
    values = statistics(np.ones(len(rows)))
    drawn = [
        statistics(np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))[rows].astype(np.float64))
        for _ in range(samples)
    ]
    tail = 50.0 * (1.0 - confidence)
    intervals = {}
    for name, value in values.items():
        low, high = np.percentile([figures[name] for figures in drawn], [tail, 100.0 - tail])
        intervals[name] = Interval(value, float(low), float(high), confidence)
    return intervals


def evaluate_intervals(
    embeddings: ArrayLike,
    subjects: Sequence[Hashable],
    per_subject: int = 2,
    samples: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals of rank1, rank5, eer, auc, tar_at_1e2 and tar_at_1e3 as `measure.protocol.evaluate` defines them."""
    return score_intervals(compare(embeddings, subjects, per_subject), samples, confidence, seed)


def score_intervals(
    pairs: Comparison, samples: int = 500, confidence: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """The same of a comparison: of `measure.protocol.compare`'s, or of similarities made another way."""
    ranks = match_ranks(pairs.similarity, pairs.query_ids, pairs.gallery_ids)
    genuine, impostor = pairs.similarity[pairs.same], pairs.similarity[~pairs.same]

    def statistics(counts: Counts) -> dict[str, float]:
        weights = np.broadcast_to(counts[:, None], pairs.same.shape)
        curve = roc(genuine, impostor, weights[pairs.same], weights[~pairs.same])
        return {
            "rank1": float(np.average(ranks <= 1, weights=counts)),
            "rank5": float(np.average(ranks <= 5, weights=counts)),
            "eer": eer(curve),
            "auc": auc(curve),
            "tar_at_1e2": tar_at_far(curve, 1e-2),
            "tar_at_1e3": tar_at_far(curve, 1e-3),
        }

    return bootstrap(pairs.query_ids, statistics, samples, confidence, seed)
