"""Approximate neighbours as a graph: HNSW (Malkov and Yashunin, 2018) over 8-bit codes of as few directions as suffice.

At D = 1024 0.4 KB per vector where an eighth of the directions suffices, 1.3 KB where all are needed. FAISS cannot
remove from it: dead keys are masked until a rebuild.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from index.ann.approximate import Admitted
from index.ann.filters import Mask
from index.ann.pca import projection
from index.neighbours import Keys, Kind, Matrix

LINKS = 32  # M: links per vector and level; 16 loses recall on clustered vectors, more costs memory
BUILD_EFFORT = 160  # efConstruction
SCAN_BELOW = 0.05  # share admitted below which comparing every admitted code is faster than walking the graph
EFFORT_LIMIT = 4096
ERASE_STEP = 256  # rows erased at once, some milliseconds; searches wait meanwhile


class HnswIndex:
    """See `ApproximateIndex`. `effort` is efSearch."""

    kind: Kind = "hnsw"
    ladder: tuple[int, ...] = (48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)

    def __init__(self, dim: int, index: Any = None, effort: int = 160, least: int = 0) -> None:
        """least: directions that are kept at least, of a graph that is yet to be trained."""
        self.dim = dim
        self._least = least
        self.effort = effort
        self.index: Any = index  # made by `train` where there is none yet
        self._keys = np.zeros(0, dtype=np.int64)

    @staticmethod
    def bytes_per_vector(dim: int) -> int:
        """At most: codes of every direction, links of the lowest level, key, and what growing keeps in reserve."""
        return dim + 2 * LINKS * 4 + 16

    def train(self, sample: Matrix) -> None:
        transform = projection(sample, self._least)
        self.index = faiss.IndexPreTransform(transform, new_graph(transform.d_out))
        self.index.train(sample)

    def add(self, keys: Keys, embeddings: Matrix) -> None:
        self.index.add_with_ids(np.ascontiguousarray(embeddings), keys)

    def candidates(self, queries: Matrix, k: int, admitted: Admitted) -> Keys:
        wanted = max(2 * k, k + 20)
        if admitted.mask is not None and admitted.share < SCAN_BELOW:
            return self._scan(queries, wanted, admitted.mask)
        effort = min(max(self.effort, wanted) / admitted.share, EFFORT_LIMIT)
        selector = None if admitted.bits is None else faiss.IDSelectorBitmap(admitted.bits)
        walk = faiss.SearchParametersHNSW(efSearch=int(max(effort, wanted)), sel=selector)
        _, keys = self.index.search(queries, wanted, params=faiss.SearchParametersPreTransform(index_params=walk))
        short = (keys >= 0).sum(axis=1) < min(wanted, admitted.count)
        if short.any() and admitted.mask is not None:
            # The walk can end in a corner without admitted vectors; an answer must not be shorter than it could be.
            keys[short] = self._scan(queries[short], wanted, admitted.mask)
        return np.asarray(keys, dtype=np.int64)

    def keys(self) -> Keys:
        if len(self._keys) != self.index.ntotal:
            self._keys = np.asarray(faiss.vector_to_array(self._numbered.id_map), dtype=np.int64)
        return self._keys

    def wider(self) -> HnswIndex | None:
        kept = self.index.chain.at(0).d_out
        return HnswIndex(self.dim, least=2 * kept) if kept < self.dim else None

    def erase(self, keys: Keys) -> Iterator[None]:
        """Overwrite the codes with those of a linked row: the graph stays walkable, the vector is gone."""
        graph = self._graph
        storage = faiss.downcast_index(graph.storage)
        codes = faiss.rev_swig_ptr(storage.codes.data(), storage.ntotal * storage.code_size)
        codes = codes.reshape(storage.ntotal, storage.code_size)
        dead = np.isin(self.keys(), keys)
        for done, row in enumerate(np.flatnonzero(dead).tolist(), 1):
            links = self._links(graph.hnsw, row)
            others = links[~dead[links]]
            codes[row] = codes[others[0]] if len(others) else 0
            if done % ERASE_STEP == 0:
                yield

    @property
    def _numbered(self) -> Any:
        """The graph under the gallery's keys."""
        return faiss.downcast_index(self.index.index)

    @property
    def _graph(self) -> Any:
        return faiss.downcast_index(self._numbered.index)

    def _projected(self, queries: Matrix) -> Matrix:
        return np.asarray(self.index.chain.at(0).apply(queries), dtype=np.float32)

    def _links(self, hnsw: Any, row: int) -> Keys:
        """The rows that a row is linked to on the lowest level."""
        start = hnsw.offsets.at(row)
        links = faiss.rev_swig_ptr(hnsw.neighbors.data(), start + hnsw.nb_neighbors(0))[start:]
        return np.asarray(links[links >= 0], dtype=np.int64)

    def _scan(self, queries: Matrix, k: int, mask: Mask) -> Keys:
        """Compare the codes of all admitted rows."""
        keys = self.keys()
        rows = np.packbits(mask[keys], bitorder="little")
        storage = faiss.downcast_index(self._graph.storage)
        params = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(rows))
        _, found = storage.search(self._projected(queries), k, params=params)
        return np.where(found < 0, -1, keys[found])


def new_graph(dim: int) -> Any:
    graph = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILD_EFFORT
    return faiss.IndexIDMap(graph)
