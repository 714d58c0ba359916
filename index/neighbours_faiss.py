"""Neighbours on FAISS: exact inner products over unit embeddings, filtered inside the search by a bitmap over keys.

Removing marks a key dead at once and drops its vector when enough have gathered: FAISS moves all rows behind a removed
one, and its graph indexes cannot remove at all. Knows nothing of files; `snapshot.py` writes and reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.labels import Labels
from index.neighbours import Entries, Keys, Label, Matrix, Selection, empty_result
from index.rwlock import ReadWriteLock

COMPACT_AT = 0.1  # share of dead rows at which they are dropped


class FaissNeighbours:
    """Exact neighbours in memory: 4 D bytes per vector, doubled for a moment while FAISS grows its array."""

    def __init__(self, dim: int, threads: int = 1) -> None:
        self.dim = dim
        self._threads = threads
        self._lock = ReadWriteLock()
        self._labels = Labels()
        self._index: Any = faiss.IndexIDMap(faiss.IndexFlatIP(dim))  # nothing asks for a vector by id: no IDMap2
        self._dead: set[int] = set()  # keys of rows that are still in the index

    def put(self, entries: Entries) -> None:
        with self._lock.write():
            known = set(self._labels.live(entries.keys).tolist())
            new = np.array([key not in known for key in entries.keys.tolist()], dtype=np.bool_)
            if new.any():
                # A key that was removed and comes back must not find its old row alive again.
                self._drop_rows(self._dead.intersection(entries.keys[new].tolist()))
                self._index.add_with_ids(np.ascontiguousarray(entries.embeddings[new]), entries.keys[new])
            self._labels.put(entries.keys, entries.labels)

    def relabel(self, key: int, label: Label) -> None:
        with self._lock.write():
            known = self._labels.live(np.array([key], dtype=np.int64))
            self._labels.put(known, [label] * len(known))

    def remove(self, keys: Sequence[int]) -> None:
        with self._lock.write():
            self._dead.update(self._labels.remove(np.array(keys, dtype=np.int64)).tolist())
            if len(self._dead) > max(64, COMPACT_AT * self._index.ntotal):
                self._drop_rows(self._dead)

    def search(self, queries: Matrix, k: int, selection: Selection | None) -> tuple[Keys, Matrix]:
        # OpenMP keeps the thread count per calling thread, so it is set where the search runs.
        faiss.omp_set_num_threads(self._threads)
        with self._lock.read():
            mask = self._labels.mask(selection)
            admitted = self._labels.count if selection is None else int(mask.sum())
            if not admitted:
                return empty_result(len(queries), k)
            bitmap = None if admitted == self._index.ntotal else np.packbits(mask, bitorder="little")
            found = self._search(queries, min(k, admitted), bitmap)
        return order(*found, k)

    def keys(self) -> Keys:
        with self._lock.read():
            return self._labels.keys()

    def __len__(self) -> int:
        return self._labels.count

    @contextmanager
    def frozen(self) -> Iterator[Any]:
        """The FAISS index without dead rows, held still for a snapshot while searches go on."""
        with self._lock.write():
            self._drop_rows(self._dead)
        with self._lock.read():
            yield self._index

    def adopt(self, index: Any, keys: Keys, labels: Sequence[Label]) -> None:
        """Take a FAISS index that was read from disk; rows whose key is not in `keys` are dead."""
        with self._lock.write():
            self._index = index
            self._labels = Labels()
            self._labels.put(keys, labels)
            self._dead = set(np.setdiff1d(faiss.vector_to_array(index.id_map), keys).tolist())

    def _search(self, queries: Matrix, k: int, bitmap: NDArray[np.uint8] | None) -> tuple[Keys, Matrix]:
        if bitmap is None:
            cosines, keys = self._index.search(queries, k)
        else:
            selector = faiss.IDSelectorBitmap(bitmap)
            cosines, keys = self._index.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return keys, cosines

    def _drop_rows(self, keys: set[int]) -> None:
        if keys:
            self._index.remove_ids(np.array(sorted(keys), dtype=np.int64))
            self._dead = self._dead - keys


def order(keys: Keys, cosines: Matrix, k: int) -> tuple[Keys, Matrix]:
    """Sort each row by cosine, then key, and pad it to `k` places, so that equal galleries give equal answers."""
    all_keys, all_cosines = empty_result(len(keys), k)
    cosines = np.where(keys < 0, np.float32(-2.0), np.clip(cosines, -1.0, 1.0))
    for row, (some, values) in enumerate(zip(keys, cosines, strict=True)):
        best = np.lexsort((some, -values))
        all_keys[row, : len(best)] = some[best]
        all_cosines[row, : len(best)] = values[best]
    return all_keys, all_cosines
