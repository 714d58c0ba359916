"""What came in lately against what was there before: does the encoder still spread these ears as it did?

Works on stored vectors, so it needs no model. Every ear is compared with the same sample of earlier ears of OTHER
subjects: a person's own pictures would only tell who is enrolled, not whether ears of their kind are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from index.items import Item
from index.neighbours import Keys, Matrix
from index.store import rows

REFERENCE = 5000  # earlier ears that are compared with
FEWEST = 30  # ears on either side below which nothing is said
FAR_QUANTILE = 0.05  # of the earlier ears' nearest similarities: what lies below is called far
FAR_LIMIT = 3 * FAR_QUANTILE  # share of far recent ears at which a retrain is worth it
NOTHING = "Nothing speaks for a retrain: the recent ears lie among the earlier ones."
MOVED_LIMIT = 0.2  # of the mean ear, in spreads of the earlier ears


@dataclass(frozen=True)
class Sample:
    """The ears that were looked at, by id: the recent ones, and as many of the earlier ones."""

    recent: tuple[Item, ...]
    earlier: tuple[Item, ...]


@dataclass(frozen=True)
class DriftReport:
    """What is told; figures are None where there are too few ears.

    nearest_recent, nearest_earlier: median cosine similarity to the nearest earlier ear of another subject. far_share:
    recent ears that are farther from every earlier one than 95 % of the earlier ears are (0.05 where nothing changed).
    moved: how far the mean embedding went beyond chance, in spreads of the earlier ones. advice: in plain words, empty
    where nothing is amiss.
    """

    space_id: str
    items: int
    recent: int
    earlier: int
    since: str | None
    nearest_recent: float | None
    nearest_earlier: float | None
    far_share: float | None
    moved: float | None
    advice: tuple[str, ...]


def measure_drift(
    connection: Connection, space_id: str, dim: int, recent: int = 200, seed: int = 0
) -> tuple[DriftReport, Sample]:
    """Compare the last `recent` ears of a space (at most half of all) with as many random ones from before."""
    random = np.random.default_rng(seed)
    keys = np.sort(rows.vector_keys(connection, space_id))
    recent = min(recent, len(keys) // 2)
    late, before = keys[len(keys) - recent :], keys[: len(keys) - recent]
    if min(len(late), len(before)) < FEWEST:
        return _too_few(space_id, len(keys)), Sample((), ())
    early = _some(random, before, recent)
    reference = _some(random, before, REFERENCE)
    items = rows.get_many(connection, {*late.tolist(), *early.tolist(), *reference.tolist()})
    stored = _embeddings(connection, space_id, dim, np.array(sorted(items), dtype=np.int64))
    late, early, reference = (part[np.isin(part, stored[0])] for part in (late, early, reference))
    similar = [_nearest(stored, items, part, reference) for part in (late, early)]
    facts = _facts(similar[0], similar[1], _of(stored, late), _of(stored, early))
    first = items[int(late[0])].created
    report = DriftReport(space_id, len(keys), len(late), len(early), first, *facts, advice=_advice(facts[2], facts[3]))
    return report, Sample(*(tuple(items[int(key)] for key in part) for part in (late, early)))


def _facts(
    late: NDArray[np.float32], early: NDArray[np.float32], a: Matrix, b: Matrix
) -> tuple[float, float, float, float]:
    far = float(np.mean(late < np.quantile(early, FAR_QUANTILE)))
    spread = float(np.sqrt(np.square(b - b.mean(axis=0)).sum(axis=1).mean()))
    moved = float(np.linalg.norm(a.mean(axis=0) - b.mean(axis=0))) / max(spread, 1e-9)
    # Two samples of one distribution differ by chance: what chance explains is not counted as a move.
    chance = np.sqrt(1 / len(a) + 1 / len(b))
    return float(np.median(late)), float(np.median(early)), far, max(0.0, moved - chance)


def _advice(far: float, moved: float) -> tuple[str, ...]:
    words = []
    if far > FAR_LIMIT:
        words.append(
            f"{far:.0%} of the recent ears are farther from every earlier ear than {1 - FAR_QUANTILE:.0%} of the "
            "earlier ones: their kind is new here. Retrain with them among the training pictures."
        )
    if moved > MOVED_LIMIT:
        words.append(
            f"The mean of the recent embeddings moved by {moved:.2f} spreads: something that all recent pictures share "
            "(camera, light, framing, people) is new. Look at them; if they are to stay so, retrain with them."
        )
    return tuple(words)


def _too_few(space_id: str, items: int) -> DriftReport:
    advice = f"Too few ears to tell: at least {FEWEST} recent and {FEWEST} earlier ones are needed."
    return DriftReport(space_id, items, 0, 0, None, None, None, None, None, (advice,))


def _some(random: np.random.Generator, keys: Keys, count: int) -> Keys:
    return keys if len(keys) <= count else np.sort(random.choice(keys, count, replace=False))


def _embeddings(connection: Connection, space_id: str, dim: int, keys: Keys) -> tuple[Keys, Matrix]:
    present, matrix = rows.embeddings(connection, space_id, dim, keys.tolist())
    order = np.argsort(present)
    return present[order], matrix[order]


def _of(stored: tuple[Keys, Matrix], keys: Keys) -> Matrix:
    return stored[1][np.searchsorted(stored[0], keys)]


def _nearest(
    stored: tuple[Keys, Matrix], items: dict[int, Item], queries: Keys, reference: Keys
) -> NDArray[np.float32]:
    """Of each asked ear, the similarity to the nearest of the reference that is neither itself nor of its subject."""
    cosines = _of(stored, queries) @ _of(stored, reference).T
    codes = {name: n for n, name in enumerate({items[int(k)].subject for k in (*queries, *reference)} - {None})}
    theirs = _codes(codes, items, reference)
    ours = _codes(codes, items, queries)
    same = (ours[:, None] == theirs) & (theirs >= 0) | (queries[:, None] == reference)
    best: NDArray[np.float32] = np.where(same, np.float32(-1), cosines).max(axis=1)
    return best


def _codes(codes: dict[str | None, int], items: dict[int, Item], keys: Sequence[int] | Keys) -> NDArray[np.int64]:
    return np.array([codes.get(items[int(key)].subject, -1) for key in keys], dtype=np.int64)
