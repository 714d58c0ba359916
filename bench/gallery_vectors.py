"""The vectors of a benchmark in files, so that processes share them without holding them: stored, queries, truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from bench.clustered import CHUNK, Matrix, clustered

K = 10


@dataclass(frozen=True)
class Vectors:
    """Where they lie. `stored` (N, D) and `queries` (Q, D) are unit float32; `truth` (Q, K) their nearest by number."""

    folder: Path
    count: int
    dim: int

    @property
    def stored(self) -> Matrix:
        return np.asarray(np.load(self.folder / "stored.npy", mmap_mode="r"))

    @property
    def queries(self) -> Matrix:
        return np.asarray(np.load(self.folder / "queries.npy"), dtype=np.float32)

    @property
    def truth(self) -> list[set[int]]:
        return [set(row) for row in np.load(self.folder / "truth.npy").tolist()]


def prepare(folder: Path, count: int, dim: int, queries: int, rank: int) -> Vectors:
    """Make `count` vectors, and `queries` more from among the same subjects, with what is truly nearest to each."""
    asked = np.zeros(count + queries, dtype=np.bool_)
    asked[np.random.default_rng(1).choice(len(asked), queries, replace=False)] = True
    stored: Any = open_memmap(folder / "stored.npy", "w+", np.float32, (count, dim))
    chosen, at = [], 0
    for n, some in enumerate(clustered(len(asked), dim, rank=rank)):
        here = asked[n * CHUNK : n * CHUNK + len(some)]
        chosen.append(some[here])
        kept = some[~here]
        stored[at : at + len(kept)] = kept
        at += len(kept)
    stored.flush()
    np.save(folder / "queries.npy", np.concatenate(chosen))
    np.save(folder / "truth.npy", nearest(stored, np.concatenate(chosen)))
    return Vectors(folder, count, dim)


def nearest(stored: Matrix, queries: Matrix) -> NDArray[np.int64]:
    """The numbers (Q, K) of the truly nearest."""
    best = np.full((len(queries), K), -2.0, dtype=np.float32)
    numbers = np.full((len(queries), K), -1, dtype=np.int64)
    for start in range(0, len(stored), CHUNK):
        cosines = queries @ stored[start : start + CHUNK].T
        places = np.broadcast_to(np.arange(start, start + cosines.shape[1]), cosines.shape)
        both, all_numbers = np.hstack([best, cosines]), np.hstack([numbers, places])
        top = np.argpartition(-both, K, axis=1)[:, :K]
        best, numbers = np.take_along_axis(both, top, 1), np.take_along_axis(all_numbers, top, 1)
    return numbers
