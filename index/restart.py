"""Bringing neighbours up to date at start: the newest usable snapshot, then whatever of the truth it does not hold."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from index import rows
from index.cells import CellIndex
from index.exact import ExactPart
from index.exactly import BATCH
from index.graph import GraphIndex
from index.labels import Mask
from index.large import LargeIndex
from index.neighbours import Entries, Keys, Label
from index.neighbours_faiss import FaissNeighbours
from index.truth import Truth

log = logging.getLogger(__name__)


def fill(neighbours: FaissNeighbours, truth: Truth, space_id: str, found: tuple[Any, dict[str, Any]] | None) -> int:
    """Fill empty neighbours from a loaded snapshot and replay the rest; returns how many vectors were replayed.

    Compared by keys, not only by the sequence number: what the snapshot lacks is read, what it has too much is dead.
    """
    with truth.read() as connection:
        keys, labels = rows.labels(connection, space_id)
    present: Mask = np.zeros(len(keys), dtype=np.bool_)
    if found is not None:
        exact, large = unwrap(*found, neighbours.dim)
        present = np.isin(keys, exact.keys() if large is None else large.keys())
        neighbours.adopt(exact, large, keys[present], [labels[n] for n in np.flatnonzero(present)])
    missing = np.flatnonzero(~present)
    for start in range(0, len(missing), BATCH):
        some = missing[start : start + BATCH]
        put_stored(neighbours, truth, space_id, keys[some], [labels[n] for n in some])
    log.info("space %s: %d vectors from a snapshot, %d replayed", space_id, present.sum(), len(missing))
    return len(missing)


def put_stored(neighbours: FaissNeighbours, truth: Truth, space_id: str, keys: Keys, labels: list[Label]) -> None:
    """Put keys (ascending) with their stored embeddings."""
    with truth.read() as connection:
        found, matrix = rows.embeddings(connection, space_id, neighbours.dim, keys.tolist())
    places = np.searchsorted(keys, found)
    neighbours.put(Entries(found, [labels[n] for n in places], matrix))


def unwrap(index: Any, facts: dict[str, Any], dim: int) -> tuple[ExactPart, LargeIndex | None]:
    """The parts that a snapshot holds."""
    match facts.get("kind", "exact"):
        case "hnsw":
            return ExactPart(dim), GraphIndex(dim, index, facts["effort"])
        case "ivf":
            return ExactPart(dim), CellIndex(dim, index=index, effort=facts["effort"])
        case _:
            return ExactPart(dim, index), None
