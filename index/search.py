"""One search: queries checked, the filter resolved, neighbours asked, hits read from the truth."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from index.errors import BadFilter
from index.items import Filter, Hit, Item, SubjectHit
from index.neighbours import Keys, Matrix, Neighbours, Selection
from index.store import rows
from index.store.truth import Truth
from index.vectors import as_unit

K_LIMIT = 10_000
ATTEMPTS = 4
AT_ONCE = 1000  # hits that are looked for at once: of an approximate index up to ten times as many vectors are read


def find(
    truth: Truth,
    neighbours: Neighbours,
    dim: int,
    embeddings: ArrayLike,
    k: int,
    asked: Filter | None,
    threshold: float | None,
) -> list[list[Hit]]:
    """See `Gallery.search`."""
    queries = as_unit(embeddings, dim)
    check_question(k, threshold)
    selection = select(truth, asked)
    step = max(1, AT_ONCE // k)
    parts = [queries[start : start + step] for start in range(0, len(queries), step)]
    return [hits for some in parts for hits in _find(truth, neighbours, some, k, selection, threshold)]


def _find(
    truth: Truth, neighbours: Neighbours, queries: Matrix, k: int, selection: Selection | None, threshold: float | None
) -> list[list[Hit]]:
    spare = 0
    for _ in range(ATTEMPTS):
        keys, cosines = neighbours.search(queries, k + spare, selection)
        found = {int(key) for key in keys.ravel() if key >= 0}
        with truth.read() as connection:
            items = rows.get_many(connection, found)
        # What is deleted at this moment may still be among the neighbours: its place is given to the next nearest.
        gone = len(found) - len(items)
        if gone <= spare:
            break
        spare = 2 * gone
    return [hits[:k] for hits in to_hits(keys, cosines, items, threshold)]


def find_subjects(
    truth: Truth,
    neighbours: Neighbours,
    dim: int,
    embeddings: ArrayLike,
    k: int,
    per_subject: int,
    asked: Filter | None,
) -> list[list[SubjectHit]]:
    """See `Gallery.search_subjects`. Asks for more items until a query has `k` subjects or there are no more."""
    check_question(k, None)
    selection = select(truth, asked)

    def of_one(query: Matrix) -> list[SubjectHit]:
        wanted = k * max(4, per_subject)
        while True:
            wanted = min(wanted, K_LIMIT)
            (hits,) = _find(truth, neighbours, query, wanted, selection, None)
            groups = grouped(hits, per_subject)
            if len(groups) >= k or len(hits) < wanted or wanted == K_LIMIT:
                return groups[:k]
            wanted *= 4

    return [of_one(query[None]) for query in as_unit(embeddings, dim)]


def grouped(hits: list[Hit], per_subject: int) -> list[SubjectHit]:
    """Hits, best first, as subjects, best first."""
    of_subject: dict[tuple[str, str], list[Hit]] = {}
    for hit in hits:
        key = ("subject", hit.item.subject) if hit.item.subject else ("item", hit.item.id)
        of_subject.setdefault(key, []).append(hit)
    groups = of_subject.values()
    return [SubjectHit(some[0].item.subject, some[0].similarity, tuple(some[:per_subject])) for some in groups]


def check_question(k: int, threshold: float | None) -> None:
    """Refuse a k or a threshold that means nothing."""
    if not 1 <= k <= K_LIMIT:
        raise BadFilter(f"k is {k}: give 1 to {K_LIMIT}")
    if threshold is not None and not (math.isfinite(threshold) and -1.0 <= threshold <= 1.0):
        raise BadFilter(f"threshold is {threshold}: a cosine similarity lies in -1 to 1")


def select(truth: Truth, asked: Filter | None) -> Selection | None:
    """The filter with keys in the place of item ids; None where it asks nothing."""
    if not asked:
        return None
    keys = None
    if asked.item_ids:
        with truth.read() as connection:
            keys = rows.keys_of(connection, asked.item_ids)
    return Selection(asked.subjects, asked.sides, asked.tags, asked.exclude_subjects, keys)


def to_hits(keys: Keys, cosines: Matrix, items: dict[int, Item], threshold: float | None) -> list[list[Hit]]:
    """Keys and cosines (Q, k) as hits, without empty places and those below the threshold."""
    floor = -2.0 if threshold is None else threshold
    return [
        [Hit(items[key], cosine) for key, cosine in zip(row, values, strict=True) if key in items and cosine >= floor]
        for row, values in zip(keys.tolist(), cosines.tolist(), strict=True)
    ]
