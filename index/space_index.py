"""One space of an open gallery: neighbours in memory, brought up to date from snapshot and truth, and saved again."""

from __future__ import annotations

import logging
from pathlib import Path

import faiss
import numpy as np

from index import rows
from index.neighbours_faiss import FaissNeighbours
from index.snapshot import Snapshots, Stamp
from index.truth import Truth

log = logging.getLogger(__name__)


class SpaceIndex:
    """The FAISS neighbours of one space and their snapshots in `folder`."""

    def __init__(self, folder: Path, truth: Truth, space_id: str, dim: int, threads: int) -> None:
        self.space_id = space_id
        self.dim = dim
        self.neighbours = FaissNeighbours(dim, threads)
        self._truth = truth
        self._threads = threads
        self._snapshots = Snapshots(folder)
        self.saved_sequence = 0
        self._load()

    def save(self) -> None:
        """Write a snapshot if anything changed since the last one. Searches go on meanwhile."""
        with self._truth.read() as connection:
            ledger = rows.read_ledger(connection)
        if ledger.seq == self.saved_sequence:
            return
        # Changes committed from here on may or may not be in the snapshot: replaying them again does no harm.
        stamp = Stamp(self.space_id, ledger.epoch, ledger.seq, self.dim)
        with self.neighbours.frozen() as index:
            self._snapshots.write(index, stamp, ledger.deleted_seq)
        self.saved_sequence = ledger.seq

    def _load(self) -> None:
        with self._truth.read() as connection:
            ledger = rows.read_ledger(connection)
            found = self._snapshots.load(Stamp(self.space_id, ledger.epoch, ledger.seq, self.dim))
            expected = rows.count_vectors(connection, self.space_id)
        if found is not None:
            index, self.saved_sequence = found
            self._adopt(index)
        self._replay(self.saved_sequence)
        if len(self.neighbours) != expected:
            log.warning(
                "space %s: the snapshot gave %d vectors where the truth holds %d; rebuilding",
                self.space_id,
                len(self.neighbours),
                expected,
            )
            self.neighbours = FaissNeighbours(self.dim, self._threads)
            self.saved_sequence = 0
            self._replay(0)

    def _adopt(self, index: faiss.Index) -> None:
        with self._truth.read() as connection:
            keys, labels = rows.labels(connection, self.space_id)
        present = np.isin(keys, faiss.vector_to_array(index.id_map))
        self.neighbours.adopt(
            index, keys[present], [label for label, here in zip(labels, present, strict=True) if here]
        )

    def _replay(self, after: int) -> None:
        with self._truth.read() as connection:
            for entries in rows.entries(connection, self.space_id, self.dim, after):
                self.neighbours.put(entries)
