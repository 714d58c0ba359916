"""The exact part of FAISS neighbours: unit vectors as they are, compared one by one. 4 D bytes per vector.

A removed vector is dead at once and its row is dropped when enough have gathered: FAISS moves all rows behind a dropped
one. Not thread-safe: the neighbours that own it lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import faiss
import numpy as np

from index.ann.filters import Bits
from index.neighbours import Keys, Matrix

COMPACT_AT = 0.1  # share of dead rows at which they are dropped


class FlatIndex:
    """Rows by key, each key once."""

    def __init__(self, dim: int, index: Any = None) -> None:
        self.index: Any = index or faiss.IndexIDMap(
            faiss.IndexFlatIP(dim)
        )  # vectors are never asked for by id: no IDMap2
        self._keys: set[int] = set(self.keys().tolist())
        self._dead: set[int] = set()

    def __len__(self) -> int:
        return len(self._keys) - len(self._dead)

    @property
    def rows(self) -> int:
        """Vectors in memory, dead ones too."""
        return len(self._keys)

    def add(self, keys: Keys, embeddings: Matrix) -> None:
        """Add keys that are not live here."""
        # A key that was removed and comes back must not find its old row alive again.
        self.drop(self._dead.intersection(keys.tolist()))
        self.index.add_with_ids(np.ascontiguousarray(embeddings), keys)
        self._keys.update(keys.tolist())

    def keys(self) -> Keys:
        """The keys of all rows in the order in which they came, dead ones too."""
        return np.asarray(faiss.vector_to_array(self.index.id_map), dtype=np.int64)

    def kill(self, keys: Iterable[int]) -> None:
        """Mark those of `keys` that are here as dead."""
        self._dead |= self._keys.intersection(keys)
        if len(self._dead) > max(64, COMPACT_AT * len(self._keys)):
            self.compact()

    def compact(self) -> None:
        """Drop the dead rows."""
        self.drop(set(self._dead))

    def drop(self, keys: set[int]) -> None:
        """Drop rows, dead or alive."""
        keys = keys & self._keys
        if keys:
            self.index.remove_ids(np.array(sorted(keys), dtype=np.int64))
            self._keys -= keys
            self._dead -= keys

    def live(self) -> tuple[Keys, Matrix]:
        """The live keys in the order in which they came, and their vectors."""
        keys = self.keys()
        flat = faiss.downcast_index(self.index.index)
        vectors = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
        alive = ~np.isin(keys, np.fromiter(self._dead, dtype=np.int64, count=len(self._dead)))
        return keys[alive], vectors[alive]

    def search(self, queries: Matrix, k: int, bits: Bits | None) -> tuple[Keys, Matrix]:
        """Keys and cosines (Q, k), -1 where there are no more. `bits` None admits all rows."""
        if bits is None:
            cosines, keys = self.index.search(queries, k)
        else:
            selector = faiss.IDSelectorBitmap(bits)
            cosines, keys = self.index.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return keys, cosines
