"""Recall of a gallery's searches against exact search, on the gallery's own vectors: to tune by, and to report.

A question is a stored vector moved by a part of another one, as the next picture of an enrolled ear is. A stored vector
itself would flatter a graph: its links lead straight to its neighbours.
"""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime

import numpy as np

from index.ann.approximate import ABSENT, Admitted, ApproximateIndex, exact_cosines
from index.ann.brute_force import Source
from index.neighbours import Matrix, Neighbours, RecallReport, State

DEPTH = 10  # recall@10
SAMPLE = 400
ROUNDING = 1e-6  # of two cosines of equal vectors
APART = 0.6  # where recall is that of pictures never stored (bench/gallery.py); unmoved it reads 0.97 for their 0.92


def tune(source: Source, large: ApproximateIndex, target: float) -> RecallReport:
    """Set the least effort with which `target` recall is reached, or else the most. Raises Stopped.

    The index may answer searches meanwhile: they keep the effort that they had.
    """
    queries = questions(source, SAMPLE, seed=1)
    _, expected = source.nearest(queries, DEPTH)
    everything = Admitted(None, None, len(large), 1.0)
    trial, reached = copy(large), 0.0
    for effort in large.ladder:
        trial.effort = effort
        # A search compares its candidates with the stored vectors too: a true neighbour among them is surely found.
        candidates = trial.candidates(queries, DEPTH, everything)
        reached = share_found(exact_cosines(queries, candidates, source.fetch), expected)
        if reached >= target:
            break
    large.effort = trial.effort
    return report(reached, queries, everything.count, large.kind, large.effort)


def measure(source: Source, neighbours: Neighbours, state: State, sample: int) -> RecallReport:
    """Compare whole searches with exact ones. Raises Stopped."""
    queries = questions(source, sample, seed=2)
    _, expected = source.nearest(queries, DEPTH)
    _, cosines = neighbours.search(queries, DEPTH, None)
    reached = share_found(cosines, expected)
    return report(reached, queries, len(neighbours), state.kind, state.effort)


def questions(source: Source, size: int, seed: int) -> Matrix:
    """Up to `size` unit vectors (Q, D) that are near stored ones without being stored."""
    _, stored = source.sample(size, seed)
    moved = stored + APART * np.roll(stored, len(stored) // 2, axis=0)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)


def report(recall: float, queries: Matrix, items: int, kind: str, effort: int) -> RecallReport:
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    return RecallReport(recall, DEPTH, len(queries), items, kind, effort, measured)


def share_found(cosines: Matrix, expected: Matrix) -> float:
    """Mean share of the nearest that were found, by their cosines: (N, any) found, (N, DEPTH) expected, absent last.

    A found vector counts if it is as near as the last of the expected ones: which of several equals is no matter.
    """
    places = (expected > ABSENT).sum(axis=1)
    last = np.where(places > 0, expected[np.arange(len(expected)), np.maximum(places, 1) - 1], 1.0)
    hits = np.minimum((cosines >= last[:, None] - ROUNDING).sum(axis=1), places)
    return float(np.mean(hits[places > 0] / places[places > 0])) if places.any() else 1.0
