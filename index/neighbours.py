"""The seam between the gallery and whatever finds nearest vectors, and a plain in-memory fake beside it.

Neighbours are a cache of one space: integer keys, labels and unit embeddings in, keys and cosines out. They can always
be rebuilt from the truth, and know neither items nor files of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from index.items import Side

Keys = NDArray[np.int64]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Label:
    """What a search may filter by."""

    subject: str | None
    side: Side | None
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Entries:
    """Vectors on their way into neighbours: keys (N,) int64, N labels, embeddings (N, D) float32 of unit length."""

    keys: Keys
    labels: Sequence[Label]
    embeddings: Matrix

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class Selection:
    """A filter whose item ids have become keys. Empty parts and `keys` None ask nothing; `keys` () admits nothing."""

    subjects: tuple[str, ...] = ()
    sides: tuple[Side | None, ...] = ()
    tags: tuple[str, ...] = ()
    exclude_subjects: tuple[str, ...] = ()
    keys: tuple[int, ...] | None = None
    exclude_keys: tuple[int, ...] = ()

    def admits(self, key: int, label: Label) -> bool:
        """The meaning of a selection, one item at a time."""
        return (
            (not self.subjects or label.subject in self.subjects)
            and (not self.sides or label.side in self.sides)
            and set(self.tags) <= set(label.tags)
            and label.subject not in self.exclude_subjects
            and (self.keys is None or key in self.keys)
            and key not in self.exclude_keys
        )


Kind = Literal["exact", "hnsw", "ivf", "milvus"]


class State(NamedTuple):
    """How neighbours are kept. `kind` is "exact" or the approximate part's; `backlog` live vectors are in the exact
    part, `large` rows in the approximate one, of which `dead` are removed items; `effort` is what its searches are
    tuned to."""

    kind: Kind
    backlog: int
    large: int
    dead: int
    effort: int


@dataclass(frozen=True)
class RecallReport:
    """`recall`: mean share of the `depth` truly nearest that a search finds, over `sample` questions."""

    recall: float
    depth: int
    sample: int
    items: int
    kind: str
    effort: int
    measured: str


class Neighbours(Protocol):
    """Nearest vectors of one space. Safe to use from many threads; searches run while others write."""

    def put(self, entries: Entries) -> None:
        """Add entries; a key that is known keeps its vector and gets the new label."""

    def relabel(self, key: int, label: Label) -> None:
        """Give a known key a new label; an unknown one is passed over."""

    def remove(self, keys: Sequence[int]) -> None:
        """Forget keys for good; unknown keys are passed over."""

    def search(self, queries: Matrix, k: int, selection: Selection | None) -> tuple[Keys, Matrix]:
        """Unit queries (Q, D) -> keys (Q, k) int64, cosines (Q, k) float32, best first; missing places hold key -1."""

    def __len__(self) -> int: ...


class FakeNeighbours:
    """Exact neighbours in a dictionary: small, slow, obviously right. Tests compare the real ones with it."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._rows: dict[int, tuple[Label, Matrix]] = {}

    def put(self, entries: Entries) -> None:
        for key, label, vector in zip(entries.keys.tolist(), entries.labels, entries.embeddings, strict=True):
            kept = self._rows.get(key)
            self._rows[key] = (label, kept[1] if kept else vector.copy())

    def relabel(self, key: int, label: Label) -> None:
        if key in self._rows:
            self._rows[key] = (label, self._rows[key][1])

    def remove(self, keys: Sequence[int]) -> None:
        for key in keys:
            self._rows.pop(key, None)

    def search(self, queries: Matrix, k: int, selection: Selection | None) -> tuple[Keys, Matrix]:
        keys, cosines = empty_result(len(queries), k)
        chosen = [key for key, (label, _) in self._rows.items() if selection is None or selection.admits(key, label)]
        if not chosen:
            return keys, cosines
        similarity = queries @ np.stack([self._rows[key][1] for key in chosen]).T
        for row, values in enumerate(similarity):
            order = np.lexsort((chosen, -values))[:k]
            keys[row, : len(order)] = np.array(chosen)[order]
            cosines[row, : len(order)] = values[order]
        return keys, cosines

    def __len__(self) -> int:
        return len(self._rows)


def empty_result(queries: int, k: int) -> tuple[Keys, Matrix]:
    """The answer of a search that found nothing."""
    return np.full((queries, k), -1, dtype=np.int64), np.full((queries, k), -2.0, dtype=np.float32)


def distinct(keys: Keys, cosines: Matrix, k: int) -> tuple[Keys, Matrix]:
    """Sort each row by cosine, then key; each key once, -1 last, exactly `k` places. Equal galleries answer equally."""
    out_keys = np.full((len(keys), k), -1, dtype=np.int64)
    out_cosines = np.full((len(keys), k), -2.0, dtype=np.float32)
    for row, (some, values) in enumerate(zip(keys, cosines, strict=True)):
        real = np.flatnonzero(some >= 0)
        best = real[np.lexsort((some[real], -values[real]))]
        best = best[np.sort(np.unique(some[best], return_index=True)[1])][:k]
        out_keys[row, : len(best)] = some[best]
        out_cosines[row, : len(best)] = np.clip(values[best], -1.0, 1.0)
    return out_keys, out_cosines
