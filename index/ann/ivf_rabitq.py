"""Approximate neighbours in cells: an inverted file over RaBitQ codes (Gao and Long, 2024), one bit per dimension.

About 0.2 KB per vector at D = 1024, so a hundred candidates are compared again with their stored vectors. A random
rotation stands in front: RaBitQ's error bound assumes that no direction is special.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from index.ann.approximate import Admitted
from index.neighbours import Keys, Kind, Matrix

REFINE = 10  # candidates per wanted neighbour, and never fewer than a hundred in all
TRAINING_PER_CELL = 64  # vectors per cell from which its centre is learned


class IvfIndex:
    """See `ApproximateIndex`. `effort` is nprobe: how many cells a search looks into."""

    kind: Kind = "ivf"

    def __init__(self, dim: int, expected: int = 0, index: Any = None, effort: int = 0) -> None:
        self.index: Any = index or new_cells(dim, expected)
        self._cells: Any = faiss.downcast_index(self.index.index)
        self.effort = effort or max(1, self._cells.nlist // 8)
        self.ladder: tuple[int, ...] = tuple(max(1, self._cells.nlist // part) for part in (64, 32, 16, 8, 4, 2))

    @staticmethod
    def bytes_per_vector(dim: int) -> int:
        """Code with its factors, key, and what growing lists keep in reserve."""
        return dim // 8 + 64

    @staticmethod
    def training_size(expected: int) -> int:
        return TRAINING_PER_CELL * cells_for(expected)

    def train(self, sample: Matrix) -> None:
        self.index.train(sample)

    def add(self, keys: Keys, embeddings: Matrix) -> None:
        self.index.add_with_ids(np.ascontiguousarray(embeddings), keys)

    def candidates(self, queries: Matrix, k: int, admitted: Admitted) -> Keys:
        count = max(REFINE * k, 100)
        keys = self._probe(queries, count, min(self.effort / admitted.share, self._cells.nlist), admitted)
        short = (keys >= 0).sum(axis=1) < min(count, admitted.count)
        if short.any():
            keys[short] = self._probe(queries[short], count, self._cells.nlist, admitted)
        return keys

    def keys(self) -> Keys:
        lists = self._cells.invlists
        parts = [
            faiss.rev_swig_ptr(lists.get_ids(n), lists.list_size(n)).copy()
            for n in range(lists.nlist)
            if lists.list_size(n)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def facts(self) -> dict[str, Any]:
        return {}

    def wider(self) -> None:
        return None

    def erase(self, keys: Keys) -> Iterator[None]:
        self.index.remove_ids(keys)  # one pass over every cell, however few the keys
        yield

    def _probe(self, queries: Matrix, k: int, cells: float, admitted: Admitted) -> Keys:
        selector = None if admitted.bits is None else faiss.IDSelectorBitmap(admitted.bits)
        inside = faiss.SearchParametersIVF(nprobe=math.ceil(cells), sel=selector)
        _, keys = self.index.search(queries, k, params=faiss.SearchParametersPreTransform(index_params=inside))
        return np.asarray(keys, dtype=np.int64)


def cells_for(count: int) -> int:
    """The square root of the number of vectors: as many cells as vectors in a cell."""
    return max(16, int(2 ** round(math.log2(max(1, count)) / 2)))


def new_cells(dim: int, expected: int) -> Any:
    index = faiss.index_factory(dim, f"RR{dim},IVF{cells_for(expected)},RaBitQ", faiss.METRIC_INNER_PRODUCT)
    faiss.downcast_index(index.index).cp.max_points_per_centroid = TRAINING_PER_CELL
    return index
