"""Bringing neighbours up to date at start: the newest usable snapshot, then whatever of the truth it does not hold."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from index.ann.approximate import ApproximateIndex
from index.ann.brute_force import BATCH
from index.ann.faiss_neighbours import FaissNeighbours
from index.ann.filters import Labels
from index.ann.flat import FlatIndex
from index.ann.hnsw import HnswIndex
from index.ann.ivf_rabitq import IvfIndex
from index.neighbours import Entries, Keys
from index.store import rows
from index.store.changelog import labels_of
from index.store.truth import Truth

log = logging.getLogger(__name__)


def fill(neighbours: FaissNeighbours, truth: Truth, space_id: str, snapshot: tuple[Any, dict[str, Any]] | None) -> int:
    """Fill empty neighbours from a loaded snapshot and replay the rest; returns how many vectors were replayed.

    Compared by keys, not only by the sequence number: what the snapshot lacks is read, what it has too much is dead.
    """
    labels = Labels()
    with truth.read() as connection:
        for part, part_labels in rows.labels(connection, space_id):
            labels.put(part, part_labels)
    keys, missing = labels.keys(), labels.keys()
    if snapshot is not None:
        exact, large = unwrap(*snapshot, neighbours.dim)
        missing = np.setdiff1d(keys, exact.keys() if large is None else large.keys())
        labels.remove(missing)
        neighbours.adopt(exact, large, labels)
    for start in range(0, len(missing), BATCH):
        put_stored(neighbours, truth, space_id, missing[start : start + BATCH])
    log.info("space %s: %d vectors from a snapshot, %d replayed", space_id, len(keys) - len(missing), len(missing))
    return len(missing)


def put_stored(neighbours: FaissNeighbours, truth: Truth, space_id: str, keys: Keys) -> None:
    """Put keys with their stored embeddings and labels."""
    with truth.read() as connection:
        stored, matrix = rows.embeddings(connection, space_id, neighbours.dim, keys.tolist())
        neighbours.put(Entries(stored, labels_of(connection, stored.tolist(), {}), matrix))


def unwrap(index: Any, facts: dict[str, Any], dim: int) -> tuple[FlatIndex, ApproximateIndex | None]:
    """The parts that a snapshot holds."""
    match facts.get("kind", "exact"):
        case "hnsw":
            return FlatIndex(dim), HnswIndex(dim, index, facts["effort"], equal=facts.get("equal", ()))
        case "ivf":
            return FlatIndex(dim), IvfIndex(dim, index=index, effort=facts["effort"])
        case _:
            return FlatIndex(dim, index), None
