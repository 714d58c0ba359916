"""The stored vectors of one space, streamed from the truth, and exact search over them, which recall is measured by.

Slow and small; knows no FAISS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from index.neighbours import Keys, Matrix, distinct, empty_result
from index.store import rows
from index.store.truth import Truth

BATCH = 4096


class Stopped(Exception):
    """The work was asked to end early. Never leaves this room."""


@dataclass(frozen=True)
class Source:
    """The stored vectors of a space: what to read, with how many threads to work on it, and when to stop."""

    truth: Truth
    space_id: str
    dim: int
    threads: int
    stop: Callable[[], bool]

    def batches(self) -> Iterator[tuple[Keys, Matrix]]:
        """Everything in the space, ascending by key. Raises Stopped."""
        after = -1
        while True:
            if self.stop():
                raise Stopped
            with self.truth.read() as connection:
                keys, matrix = rows.stream(connection, self.space_id, self.dim, after, BATCH)
            if not len(keys):
                return
            after = int(keys[-1])
            yield keys, matrix

    def sample(self, size: int, seed: int = 0) -> tuple[Keys, Matrix]:
        """Up to `size` random vectors and their keys."""
        with self.truth.read() as connection:
            keys = rows.vector_keys(connection, self.space_id)
            if len(keys) > size:
                keys = np.random.default_rng(seed).choice(keys, size, replace=False)
            return rows.embeddings(connection, self.space_id, self.dim, keys.tolist())

    def fetch(self, keys: Keys) -> tuple[Keys, Matrix]:
        """Those of `keys` that are in the space, and their embeddings (N, D)."""
        with self.truth.read() as connection:
            return rows.embeddings(connection, self.space_id, self.dim, keys.tolist())

    def nearest(self, queries: Matrix, k: int) -> tuple[Keys, Matrix]:
        """Unit queries (Q, D) -> keys and cosines (Q, k) among everything in the space. Raises Stopped."""
        best = empty_result(len(queries), k)
        for keys, matrix in self.batches():
            cosines = queries @ matrix.T
            every = np.hstack([best[0], np.broadcast_to(keys, cosines.shape)])
            best = distinct(every, np.hstack([best[1], cosines]), k)
        return best
