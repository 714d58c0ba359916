"""The seam for the approximate part of FAISS neighbours: many vectors in little memory, candidates instead of answers.

What comes out is compared again with the stored vectors, so similarities are exact and only membership is approximate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from index.ann.filters import Bits, Mask
from index.neighbours import Keys, Kind, Matrix

ABSENT = np.float32(-2)  # below every cosine
Fetch = Callable[[Keys], tuple[Keys, Matrix]]  # keys -> those of them that exist, and their stored embeddings


@dataclass(frozen=True)
class Admitted:
    """What a search may find: `mask` and `bits` over keys, None where everything is live and admitted.

    `share` is the part of all vectors that is admitted, in (0, 1].
    """

    mask: Mask | None
    bits: Bits | None
    count: int
    share: float


class ApproximateIndex(Protocol):
    """Approximate neighbours in FAISS. Not thread-safe: the neighbours that own it lock.

    `kind` is its name in settings and reports, `index` the FAISS index that a snapshot writes, `effort` how much of it
    a search looks at, `ladder` the efforts worth trying, from the least.
    """

    kind: Kind
    index: Any
    effort: int
    ladder: tuple[int, ...]

    def train(self, sample: Matrix) -> None:
        """Learn from a sample (N, D); before anything is added."""

    def add(self, keys: Keys, embeddings: Matrix) -> None:
        """Add new keys."""

    def candidates(self, queries: Matrix, k: int, admitted: Admitted) -> Keys:
        """Unit queries (Q, D) -> keys (Q, >= k) that probably hold the k nearest; -1 where there are no more."""

    def keys(self) -> Keys:
        """Every key that it was given, dead ones too."""

    def __len__(self) -> int:
        """How many keys it was given."""

    def facts(self) -> dict[str, Any]:
        """What a snapshot must keep besides the FAISS index."""

    def wider(self) -> ApproximateIndex | None:
        """An empty index of this kind that loses less of a vector, for where every effort falls short; None: none."""

    def erase(self, keys: Keys) -> Iterator[None]:
        """Let nothing of these dead vectors remain in memory or in a snapshot; their rows may.

        Works while it is iterated over, a part at a time: between two parts searches may run.
        """


def exact_cosines(queries: Matrix, candidates: Keys, fetch: Fetch) -> Matrix:
    """Cosines (Q, K) of candidates (Q, K) by their stored vectors; ABSENT where there is none or it was deleted."""
    distinct_keys = np.unique(candidates[candidates >= 0])
    keys, vectors = fetch(distinct_keys)
    place = np.full(len(distinct_keys) + 1, -1, dtype=np.int64)
    place[np.searchsorted(distinct_keys, keys)] = np.arange(len(keys))
    places = np.where(candidates >= 0, place[np.searchsorted(distinct_keys, candidates)], -1)
    cosines = np.full(candidates.shape, ABSENT, dtype=np.float32)
    for row, (query, where) in enumerate(zip(queries, places, strict=True)):
        present = where >= 0
        cosines[row, present] = vectors[where[present]] @ query
    return cosines
