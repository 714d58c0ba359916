"""Who is it? Cumulative match characteristic (CMC) and rank-k rates of a closed-set search.

Ranks count identities, not pictures: an identity scores as its most similar gallery picture (ISO/IEC 19795-1). Ties
count against the query, so that a constant embedding scores 0 and not 1. Knows nothing of how vectors are made.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from measure.errors import MeasureError


def cmc(
    similarity: NDArray[np.floating],
    query_ids: Sequence[Hashable],
    gallery_ids: Sequence[Hashable],
    max_rank: int = 20,
) -> NDArray[np.float64]:
    """(max_rank,) float64: the share of queries whose identity is among the best 1, 2, ... max_rank identities.

    similarity: (Q, G), higher is more alike. Past the number of identities in the gallery the curve is flat.
    Raises MeasureError where shapes differ, a value is not finite, or a query's identity is not in the gallery.
    """
    ranks = match_ranks(similarity, query_ids, gallery_ids)
    return np.asarray([(ranks <= rank).mean() for rank in range(1, max_rank + 1)])


def rank_k(
    similarity: NDArray[np.floating], query_ids: Sequence[Hashable], gallery_ids: Sequence[Hashable], k: int = 1
) -> float:
    """The share of queries whose identity is among the k best."""
    return float((match_ranks(similarity, query_ids, gallery_ids) <= k).mean())


def match_ranks(
    similarity: NDArray[np.floating], query_ids: Sequence[Hashable], gallery_ids: Sequence[Hashable]
) -> NDArray[np.int64]:
    """(Q,) int64: the rank, from 1, of each query's own identity. Arguments and errors as in `cmc`."""
    scores = _checked(similarity, len(query_ids), len(gallery_ids))
    numbers = {identity: number for number, identity in enumerate(dict.fromkeys(gallery_ids))}
    missing = [identity for identity in query_ids if identity not in numbers]
    if missing:
        raise MeasureError(f"{len(missing)} queries have no identity in the gallery, {missing[0]!r} the first")
    column = np.asarray([numbers[identity] for identity in gallery_ids])
    best = np.full((len(scores), len(numbers)), -np.inf)
    for number in range(len(numbers)):
        best[:, number] = scores[:, column == number].max(axis=1)
    own = best[np.arange(len(scores)), [numbers[identity] for identity in query_ids]]
    return np.asarray((best >= own[:, None]).sum(axis=1), dtype=np.int64)


def _checked(similarity: NDArray[np.floating], queries: int, gallery: int) -> NDArray[np.float64]:
    scores = np.asarray(similarity, dtype=np.float64)
    if scores.shape != (queries, gallery) or scores.size == 0:
        raise MeasureError(f"similarity is {scores.shape} for {queries} queries and {gallery} gallery items")
    if not np.isfinite(scores).all():
        raise MeasureError("similarity holds values that are not finite")
    return scores
