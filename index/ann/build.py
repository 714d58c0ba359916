"""Building an index of a space from the truth, beside the one that answers: read, trained, filled.

Runs in the background, reads a batch at a time, and can be stopped between batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import faiss
import numpy as np

from index.ann.approximate import LargeIndex
from index.ann.brute_force import BATCH, Stopped
from index.ann.choice import training_size
from index.ann.flat import ExactPart
from index.neighbours import Keys, Matrix
from index.store import rows
from index.store.truth import Truth

ADD_STEP = 512  # vectors added at once: a graph takes its time, and stopping must not


@dataclass(frozen=True)
class Source:
    """The space to build from, and how to stop building."""

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
            faiss.omp_set_num_threads(self.threads)
            yield keys, matrix

    def sample(self, size: int, seed: int = 0) -> tuple[Keys, Matrix]:
        """Up to `size` random vectors and their keys."""
        with self.truth.read() as connection:
            keys = rows.vector_keys(connection, self.space_id)
            if len(keys) > size:
                keys = np.random.default_rng(seed).choice(keys, size, replace=False)
            return rows.embeddings(connection, self.space_id, self.dim, keys.tolist())


def build_exact(source: Source) -> ExactPart:
    """An exact part with everything in the space. Raises Stopped."""
    part = ExactPart(source.dim)
    for keys, matrix in source.batches():
        part.add(keys, matrix)
    return part


def fill_large(source: Source, large: LargeIndex, count: int) -> LargeIndex:
    """An empty approximate index, trained and filled with everything in the space, about `count`. Raises Stopped."""
    faiss.omp_set_num_threads(source.threads)
    large.train(source.sample(training_size(large.kind, count))[1])
    for keys, matrix in source.batches():
        for start in range(0, len(keys), ADD_STEP):
            if source.stop():
                raise Stopped
            large.add(keys[start : start + ADD_STEP], matrix[start : start + ADD_STEP])
    return large
