"""Recall of a gallery's searches against exact search, on the gallery's own vectors: to tune by, and to report.

Queries are stored vectors, each without itself: what the next picture of an enrolled ear meets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from index.build import Source
from index.exactly import nearest
from index.large import Admitted, LargeIndex
from index.neighbours import Keys, Neighbours
from index.neighbours_faiss import State

DEPTH = 10  # recall@10
SAMPLE = 200


@dataclass(frozen=True)
class RecallReport:
    """`recall`: mean share of the `depth` truly nearest others that a search finds, over `sample` stored vectors."""

    recall: float
    depth: int
    sample: int
    items: int
    kind: str
    effort: int
    measured: str


def tune(source: Source, large: LargeIndex, target: float) -> RecallReport:
    """Set the least effort with which `target` recall is reached. Raises Stopped."""
    keys, queries = source.sample(SAMPLE, seed=1)
    expected, _ = nearest(source.truth, source.space_id, queries, DEPTH + 1, source.stop)
    everything = Admitted(None, None, int(large.index.ntotal), 1.0)
    reached = 0.0
    for effort in large.ladder:
        large.effort = effort
        # Candidates are compared with stored vectors afterwards, so a true neighbour among them is surely found.
        reached = share_found(large.candidates(queries, DEPTH + 1, everything), expected, keys)
        if reached >= target:
            break
    return report(reached, keys, everything.count, large.kind, large.effort)


def measure(source: Source, neighbours: Neighbours, state: State, sample: int) -> RecallReport:
    """Compare whole searches with exact ones. Raises Stopped."""
    keys, queries = source.sample(sample, seed=2)
    expected, _ = nearest(source.truth, source.space_id, queries, DEPTH + 1, source.stop)
    found, _ = neighbours.search(queries, DEPTH + 1, None)
    reached = share_found(found, expected, keys)
    return report(reached, keys, len(neighbours), state.kind, state.effort)


def report(recall: float, keys: Keys, items: int, kind: str, effort: int) -> RecallReport:
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    return RecallReport(recall, DEPTH, len(keys), items, kind, effort, measured)


def share_found(found: Keys, expected: Keys, own: Keys) -> float:
    """Mean share of the first DEPTH `expected` keys (N, DEPTH + 1) but one's own that are among `found` (N, any)."""
    shares = []
    for some, true, key in zip(found, expected, own, strict=True):
        others = true[(true >= 0) & (true != key)][:DEPTH]
        if len(others):
            shares.append(np.isin(others, some).mean())
    return float(np.mean(shares)) if shares else 1.0
