"""Which keys of a graph stand for the same code: one row is linked, the others are found through it.

A graph links a vector to its nearest. Where hundreds are equal (burst shots, the same file enrolled again) they link to
one another alone, and what lies behind them cannot be reached. Not thread-safe: the neighbours that own it lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.ann.filters import Mask
from index.neighbours import Keys

Codes = NDArray[np.uint8]  # (N, bytes per code)
RECENT = 65_536  # rows that are kept in a dictionary, before they are sorted in


class EqualVectors:
    """Keys without a row of their own, each with the key of the row that stands for it."""

    def __init__(self, pairs: Sequence[Sequence[int]] = ()) -> None:
        """pairs: (key, key of the row that stands for it), as `pairs` gives them."""
        self._keys, self._rows = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        self._sorted = False

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def keys(self) -> Keys:
        """The keys without a row."""
        return self._keys

    def pairs(self) -> list[list[int]]:
        """What a snapshot keeps."""
        return [list(pair) for pair in zip(self._keys.tolist(), self._rows.tolist(), strict=True)]

    def add(self, keys: Keys, rows: Keys) -> None:
        """Let `keys` (N,) be found through the rows of the keys `rows` (N,)."""
        self._keys, self._rows = np.concatenate([self._keys, keys]), np.concatenate([self._rows, rows])
        self._sorted = False

    def rows_admitted(self, mask: Mask) -> Mask:
        """The mask of rows to look at: those admitted themselves, and those that stand for an admitted key."""
        widened = np.pad(mask, (0, max(0, int(self._rows.max(initial=-1)) + 1 - len(mask))))
        widened[self._rows[of_keys(mask, self._keys)]] = True
        return widened

    def needed_rows(self, dead: Keys) -> Keys:
        """Those of the `dead` keys whose row still stands for a key that lives."""
        return np.intersect1d(dead, self._rows[~np.isin(self._keys, dead)])

    def expand(self, rows: Keys, mask: Mask | None, most: int) -> Keys:
        """Rows found (Q, K) and, behind them, up to `most` keys that each stands for; only those that `mask` admits."""
        if not self._sorted:
            order = np.lexsort((self._keys, self._rows))
            self._keys, self._rows, self._sorted = self._keys[order], self._rows[order], True
        answers = []
        for row in rows:
            parts = [row]
            starts, ends = np.searchsorted(self._rows, row, "left"), np.searchsorted(self._rows, row, "right")
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                keys = self._keys[start:end]
                parts.append((keys if mask is None else keys[of_keys(mask, keys)])[:most])
            keys = np.concatenate(parts)
            answers.append(keys if mask is None else keys[of_keys(mask, keys)])
        widest = max(map(len, answers))
        return np.stack([np.pad(keys, (0, widest - len(keys)), constant_values=-1) for keys in answers])


class CodeTable:
    """The rows of a graph by their code, about 16 bytes a row; what a digest finds is compared with the code itself."""

    def __init__(self, codes: Codes) -> None:
        self._digests, self._rows = digests_of(codes), np.arange(len(codes))
        self._recent: dict[int, int] = {}
        self._merge()

    def match(self, codes: Codes, stored: Codes) -> Keys:
        """Codes (N, B) -> the row of each (N,): of an equal one, or else a new row, numbered from len(stored) on."""
        rows: Keys = np.zeros(len(codes), dtype=np.int64)
        new: list[int] = []  # places of the new rows, in their order
        for place, (code, digest) in enumerate(zip(codes, digests_of(codes).tolist(), strict=True)):
            row = self._row(digest)
            other = None if row is None else stored[row] if row < len(stored) else codes[new[row - len(stored)]]
            if other is None or not np.array_equal(other, code):
                row = self._recent[digest] = len(stored) + len(new)
                new.append(place)
            assert row is not None
            rows[place] = row
        if len(self._recent) > RECENT:
            self._merge()
        return rows

    def _row(self, digest: int) -> int | None:
        if digest in self._recent:
            return self._recent[digest]
        place = int(np.searchsorted(self._digests, np.uint64(digest)))
        present = place < len(self._digests) and int(self._digests[place]) == digest
        return int(self._rows[place]) if present else None

    def _merge(self) -> None:
        digests = np.concatenate([np.fromiter(self._recent, np.uint64, len(self._recent)), self._digests])
        rows = np.concatenate([np.fromiter(self._recent.values(), np.int64, len(self._recent)), self._rows])
        self._digests, first = np.unique(digests, return_index=True)  # the recent ones come first, so they are kept
        self._rows, self._recent = rows[first], {}


def digests_of(codes: Codes) -> NDArray[np.uint64]:
    """(N, bytes) -> (N,): 64 bits of each code's BLAKE2."""
    digests = b"".join(hashlib.blake2b(code.tobytes(), digest_size=8).digest() for code in codes)
    return np.frombuffer(digests, dtype=np.uint64)


def of_keys(mask: Mask, keys: Keys) -> Mask:
    """(N,) bool: which keys a mask admits; keys beyond it, and -1, are not."""
    inside = (keys >= 0) & (keys < len(mask))
    return inside & mask[np.where(inside, keys, 0)]
