"""Approximate neighbours as a graph: HNSW (Malkov and Yashunin, 2018) over 8-bit codes of as few directions as suffice.

At D = 1024 0.4 KB per vector where an eighth of the directions suffices, 1.3 KB where all are needed. FAISS cannot
remove from it: dead keys are masked until a rebuild. Of equal codes one is linked (`equal_vectors.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import faiss
import numpy as np

from index.ann.approximate import Admitted
from index.ann.equal_vectors import Codes, CodeTable, EqualVectors, of_keys
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

    def __init__(
        self, dim: int, index: Any = None, effort: int = 160, least: int = 0, equal: Sequence[Sequence[int]] = ()
    ) -> None:
        """least: directions that are kept at least, of a graph that is yet to be trained. equal: see `EqualVectors`."""
        self.dim = dim
        self._least = least
        self.effort = effort
        self.index: Any = index  # made by `train` where there is none yet
        self._keys = np.zeros(0, dtype=np.int64)
        self._equal = EqualVectors(equal)
        self._table: CodeTable | None = None  # made when something is added

    @staticmethod
    def bytes_per_vector(dim: int) -> int:
        """At most: codes of every direction, links of the lowest level, key, and what growing keeps in reserve."""
        return dim + 2 * LINKS * 4 + 16

    def train(self, sample: Matrix) -> None:
        transform = projection(sample, self._least)
        self.index = faiss.IndexPreTransform(transform, new_graph(transform.d_out))
        self.index.train(sample)

    def add(self, keys: Keys, embeddings: Matrix) -> None:
        stored = self._codes()
        self._table = self._table or CodeTable(stored)
        rows = self._table.match(self._storage.sa_encode(self._projected(embeddings)), stored)
        new = np.zeros(len(rows), dtype=np.bool_)
        new[np.unique(rows, return_index=True)[1]] = True
        new &= rows >= len(stored)
        if new.any():
            self.index.add_with_ids(np.ascontiguousarray(embeddings[new]), keys[new])
        if not new.all():
            self._equal.add(keys[~new], self._row_keys()[rows[~new]])

    def candidates(self, queries: Matrix, k: int, admitted: Admitted) -> Keys:
        depth = max(2 * k, k + 20)
        if not len(self._equal):
            return self._rows_near(queries, depth, admitted)
        mask, count = None, int(self.index.ntotal)
        if admitted.mask is not None:
            mask = self._equal.rows_admitted(admitted.mask)
            count = int(np.count_nonzero(of_keys(mask, self._row_keys())))
        bits = None if mask is None else np.packbits(mask, bitorder="little")
        rows = self._rows_near(queries, depth, Admitted(mask, bits, count, count / self.index.ntotal))
        return self._equal.expand(rows, admitted.mask, depth)

    def _rows_near(self, queries: Matrix, depth: int, admitted: Admitted) -> Keys:
        """The keys of the rows that are probably nearest, (Q, wanted)."""
        if admitted.mask is not None and admitted.share < SCAN_BELOW:
            return self._scan(queries, depth, admitted.mask)
        effort = min(max(self.effort, depth) / admitted.share, EFFORT_LIMIT)
        selector = None if admitted.bits is None else faiss.IDSelectorBitmap(admitted.bits)
        walk = faiss.SearchParametersHNSW(efSearch=int(max(effort, depth)), sel=selector)
        _, keys = self.index.search(queries, depth, params=faiss.SearchParametersPreTransform(index_params=walk))
        short = (keys >= 0).sum(axis=1) < min(depth, admitted.count)
        if short.any() and admitted.mask is not None:
            # The walk can end in a corner without admitted vectors; an answer must not be shorter than it could be.
            keys[short] = self._scan(queries[short], depth, admitted.mask)
        return np.asarray(keys, dtype=np.int64)

    def keys(self) -> Keys:
        return np.concatenate([self._row_keys(), self._equal.keys]) if len(self._equal) else self._row_keys()

    def __len__(self) -> int:
        return int(self.index.ntotal) + len(self._equal)

    def facts(self) -> dict[str, Any]:
        return {"equal": self._equal.pairs()}

    def _row_keys(self) -> Keys:
        if len(self._keys) != self.index.ntotal:
            self._keys = np.asarray(faiss.vector_to_array(self._numbered.id_map), dtype=np.int64)
        return self._keys

    def wider(self) -> HnswIndex | None:
        kept = self.index.chain.at(0).d_out
        return HnswIndex(self.dim, least=2 * kept) if kept < self.dim else None

    def erase(self, keys: Keys) -> Iterator[None]:
        """Overwrite the codes with those of a linked row: the graph stays walkable, the vector is gone."""
        graph, codes = self._graph, self._codes()
        dead = np.isin(self._row_keys(), np.setdiff1d(keys, self._equal.needed_rows(keys)))
        for done, row in enumerate(np.flatnonzero(dead).tolist(), 1):
            links = self._links(graph.hnsw, row)
            others = links[~dead[links]]
            codes[row] = codes[others[0]] if len(others) else 0
            if done % ERASE_STEP == 0:
                yield

    @property
    def _storage(self) -> Any:
        return faiss.downcast_index(self._graph.storage)

    def _codes(self) -> Codes:
        """The codes of all rows, not copied: (N, bytes per code)."""
        storage = self._storage
        codes: Codes = faiss.rev_swig_ptr(storage.codes.data(), storage.ntotal * storage.code_size)
        return codes.reshape(storage.ntotal, storage.code_size)

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
        keys = self._row_keys()
        rows = np.packbits(of_keys(mask, keys), bitorder="little")
        params = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(rows))
        _, rows_near = self._storage.search(self._projected(queries), k, params=params)
        return np.where(rows_near < 0, -1, keys[rows_near])


def new_graph(dim: int) -> Any:
    graph = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILD_EFFORT
    return faiss.IndexIDMap(graph)
