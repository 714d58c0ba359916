"""Neighbours on FAISS: an exact part that takes every write, and beside it an approximate part for large galleries.

A search asks both, compares the approximate part's candidates with their stored vectors, and merges: similarities are
always exact. Filters are bitmaps over keys that FAISS evaluates while it searches. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np

from index.ann.approximate import ABSENT, Admitted, ApproximateIndex, Fetch, exact_cosines
from index.ann.filters import Bits, Labels, Mask
from index.ann.flat import FlatIndex
from index.ann.rwlock import ReadWriteLock
from index.neighbours import Entries, Keys, Label, Matrix, Selection, State, distinct

STOP = object()
NOBODY = np.zeros(0, dtype=np.int64)
COPIED = 100_000  # rows of the exact part up to which a snapshot is written from a copy: 0.4 GB at D = 1024
ABSORB_STEP = 8  # vectors that enter the approximate part at once; searches wait meanwhile


class FaissNeighbours:
    """See `Neighbours`. `fetch` reads stored embeddings; it is asked only where there is an approximate part."""

    def __init__(self, dim: int, threads: int = 1, fetch: Fetch | None = None) -> None:
        self.dim = dim
        self._threads = threads
        self._fetch = fetch
        self._lock = ReadWriteLock()
        self._labels = Labels()
        self._exact = FlatIndex(dim)
        self._large: ApproximateIndex | None = None
        self._to_erase: set[int] = set()  # removed keys whose codes may still be in the approximate part
        self._in_large: Mask = np.zeros(0, dtype=np.bool_)  # by key: has a row in the approximate part

    def put(self, entries: Entries) -> None:
        with self._lock.write():
            present = set(self._labels.live(entries.keys).tolist())
            new = np.array([key not in present for key in entries.keys.tolist()], dtype=np.bool_)
            if new.any():
                self._to_erase.difference_update(entries.keys[new].tolist())
                self._exact.add(entries.keys[new], entries.embeddings[new])
            self._labels.put(entries.keys, entries.labels)

    def relabel(self, key: int, label: Label) -> None:
        with self._lock.write():
            present = self._labels.live(np.array([key], dtype=np.int64))
            self._labels.put(present, [label] * len(present))

    def remove(self, keys: Sequence[int]) -> None:
        with self._lock.write():
            gone = self._labels.remove(np.array(keys, dtype=np.int64))
            self._exact.kill(gone.tolist())
            self._to_erase.update(gone.tolist())

    def search(self, queries: Matrix, k: int, selection: Selection | None) -> tuple[Keys, Matrix]:
        # OpenMP keeps the thread count per calling thread, so it is set where the search runs.
        faiss.omp_set_num_threads(self._threads)
        with self._lock.read():
            mask = self._mask(selection)
            bits = None if mask is None else np.packbits(mask, bitorder="little")
            keys, cosines = self._exact.search(queries, min(k, max(1, self._exact.rows)), bits)
            candidates = self._ask_large(queries, k, mask, bits)
        if candidates is not None:
            keys = np.hstack([keys, candidates])
            assert self._fetch is not None, "an approximate part needs stored vectors to compare with"
            cosines = np.hstack([cosines, exact_cosines(queries, candidates, self._fetch)])
        return distinct(np.where(cosines <= ABSENT, -1, keys), cosines, k)

    def __len__(self) -> int:
        return self._labels.count

    def state(self) -> State:
        """What is where."""
        with self._lock.read():
            if self._large is None:
                return State("exact", len(self._exact), 0, 0, 0)
            rows = self._large.keys()
            dead = len(rows) - len(self._labels.live(rows))
            return State(self._large.kind, len(self._exact), len(rows), dead, self._large.effort)

    def adopt(self, exact: FlatIndex, large: ApproximateIndex | None, labels: Labels) -> None:
        """Take parts that were read from disk; of their rows, only those with labels are live."""
        with self._lock.write():
            self._labels, self._exact = labels, exact
            exact.kill(np.setdiff1d(exact.keys(), labels.keys()).tolist())
            self._install(large)

    def install_large(self, large: ApproximateIndex) -> None:
        """Put a freshly built approximate part in its place; what it holds leaves the exact part."""
        with self._lock.write():
            self._install(large)

    def install_exact(self, exact: FlatIndex) -> None:
        """Put a freshly built exact part in the place of everything; what came since it was read moves over."""
        with self._lock.write():
            keys, vectors = self._exact.live()
            late = ~np.isin(keys, exact.keys())
            if late.any():
                exact.add(keys[late], vectors[late])
            exact.kill(np.setdiff1d(exact.keys(), self._labels.keys()).tolist())
            self._exact = exact
            self._install(None)

    def absorb(self, stop: Callable[[], bool]) -> None:
        """Move the exact part's vectors into the approximate one, a few at a time so that searches go on between."""
        with self._lock.read():
            keys, vectors = self._exact.live()
            vectors = vectors.copy()
        for start in range(0, len(keys), ABSORB_STEP):
            if stop() or self._large is None:
                return
            with self._lock.write():
                part = slice(start, start + ABSORB_STEP)
                self._large.add(keys[part], vectors[part])
                self._note_in_large(keys[part])
                self._exact.kill(keys[part].tolist())

    @contextmanager
    def to_save(self) -> Iterator[tuple[Any, ApproximateIndex | None]]:
        """The FAISS index that a snapshot writes, without anything of removed vectors, and the approximate part.

        Searches and writes go on meanwhile: it is the approximate part itself, which only the caller changes (`absorb`,
        `install_large`), or else a copy of the exact one; writes wait only where that is too large to be copied.
        """
        if self._large is not None:
            self._erase_removed(self._large)
            yield self._large.index, self._large
            return
        with self._lock.write():
            self._exact.compact()
            self._to_erase.clear()
        if self._exact.rows > COPIED:
            with self._lock.read():
                yield self._exact.index, None
            return
        with self._lock.read():
            copy = faiss.clone_index(self._exact.index)
        yield copy, None

    def large(self) -> ApproximateIndex | None:
        """The approximate part, which only the caller of `absorb` and `install_large` changes."""
        return self._large

    def _erase_removed(self, large: ApproximateIndex) -> None:
        with self._lock.write():
            removed, self._to_erase = self._to_erase, set()
            # All that are dead, not only the last: what was erased before is filled with its neighbours' vectors.
            dead = np.setdiff1d(large.keys(), self._labels.keys()) if removed else NOBODY
        if not len(dead):
            return
        parts = large.erase(dead)
        going_on = True
        while going_on:
            with self._lock.write():
                going_on = next(parts, STOP) is not STOP

    def _mask(self, selection: Selection | None) -> Mask | None:
        """Which keys may be found; None if every row may."""
        rows = self._exact.rows + (0 if self._large is None else len(self._large))
        return None if selection is None and self._labels.count == rows else self._labels.mask(selection)

    def _ask_large(self, queries: Matrix, k: int, mask: Mask | None, bits: Bits | None) -> Keys | None:
        if self._large is None or not len(self._large):
            return None
        total = len(self._large)
        count = (
            total if mask is None else int(np.count_nonzero(mask[: len(self._in_large)] & self._in_large[: len(mask)]))
        )
        if not count:
            return None
        return self._large.candidates(queries, k, Admitted(mask, bits, count, min(1.0, count / total)))

    def _install(self, large: ApproximateIndex | None) -> None:
        self._large = large
        self._in_large = np.zeros(0, dtype=np.bool_)
        if large is not None:
            self._note_in_large(large.keys())
            self._exact.drop(set(np.intersect1d(self._exact.keys(), large.keys()).tolist()))
            self._to_erase = set(np.setdiff1d(large.keys(), self._labels.keys()).tolist())

    def _note_in_large(self, keys: Keys) -> None:
        size = int(keys.max(initial=-1)) + 1
        if size > len(self._in_large):
            self._in_large = np.pad(self._in_large, (0, max(size, len(self._in_large) * 5 // 4) - len(self._in_large)))
        self._in_large[keys] = True
