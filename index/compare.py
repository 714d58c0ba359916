"""How far two spaces of one gallery agree: whose neighbours stay, whose change, and by how much similarities shift.

Embeddings of different spaces are never compared with each other, only their orders of neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.items import Item
from index.live_spaces import Index
from index.neighbours import Keys, Matrix
from index.store import rows
from index.store.space_rows import common_keys
from index.store.truth import Truth

DEPTHS = (1, 5, 10)
WORST = 10


@dataclass(frozen=True)
class Paired:
    """N items with their embeddings in two spaces: `a` (N, Da) and `b` (N, Db) float32 of unit length."""

    keys: Keys
    items: tuple[Item, ...]
    a: Matrix
    b: Matrix

    @staticmethod
    def draw(truth: Truth, a: Index, b: Index, sample: int, seed: int) -> Paired:
        """Up to `sample` random items that are in both spaces, ascending by key."""
        with truth.read() as connection:
            keys = common_keys(connection, a.space_id, b.space_id)
            if len(keys) > sample:
                keys = np.sort(np.random.default_rng(seed).choice(keys, sample, replace=False))
            chosen = keys.tolist()
            items = rows.get_many(connection, chosen)
            matrices = [ascending(*rows.embeddings(connection, i.space_id, i.dim, chosen)) for i in (a, b)]
        return Paired(keys, tuple(items[key] for key in chosen), *matrices)


@dataclass(frozen=True)
class Comparison:
    """`overlap[k]`: mean share of an item's k nearest others that both spaces name. Similarities are medians of the
    nearest other's. `worst_subjects`: mean overlap at 10 of the subjects where it is lowest."""

    sample: int
    overlap: dict[int, float]
    similarity_a: float
    similarity_b: float
    worst_subjects: tuple[tuple[str, float], ...]


def compare(truth: Truth, a: Index, b: Index, sample: int, seed: int) -> Comparison:
    """See `Spaces.compare`."""
    paired = Paired.draw(truth, a, b, sample, seed)
    if not len(paired.keys):
        return Comparison(0, {k: 0.0 for k in DEPTHS}, 0.0, 0.0, ())
    keys_a, cosines_a = others(a, paired.keys, paired.a)
    keys_b, cosines_b = others(b, paired.keys, paired.b)
    shares = {k: shared(keys_a[:, :k], keys_b[:, :k]) for k in DEPTHS}
    return Comparison(
        len(paired.keys),
        {k: float(share.mean()) for k, share in shares.items()},
        float(np.median(cosines_a[:, 0])),
        float(np.median(cosines_b[:, 0])),
        worst(paired.items, shares[max(DEPTHS)]),
    )


def ascending(keys: Keys, matrix: Matrix) -> Matrix:
    return matrix[np.argsort(keys)]


def others(index: Index, keys: Keys, queries: Matrix) -> tuple[Keys, Matrix]:
    """The nearest max(DEPTHS) of each item but itself: keys and cosines, (N, 10) each."""
    depth = max(DEPTHS)
    keys_near, cosines = index.neighbours.search(queries, depth + 1, None)
    own = keys_near == keys[:, None]
    own[~own.any(axis=1), -1] = True  # twins can push an item out of its own list: then the last place goes
    shape = (len(keys), depth)
    return keys_near[~own].reshape(shape), cosines[~own].reshape(shape)


def shared(a: Keys, b: Keys) -> NDArray[np.float64]:
    """(N, k), (N, k) -> (N,): which share of the places that can be filled both lists agree on."""
    both = (a[:, :, None] == b[:, None, :]) & (a >= 0)[:, :, None]
    possible = np.maximum(1, np.maximum((a >= 0).sum(axis=1), (b >= 0).sum(axis=1)))
    return np.asarray(both.any(axis=2).sum(axis=1) / possible, dtype=np.float64)


def worst(items: tuple[Item, ...], shares: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    """The subjects whose neighbours changed most."""
    of_subject: dict[str, list[float]] = defaultdict(list)
    for item, share in zip(items, shares.tolist(), strict=True):
        if item.subject is not None:
            of_subject[item.subject].append(share)
    means = sorted((float(np.mean(values)), subject) for subject, values in of_subject.items())
    return tuple((subject, mean) for mean, subject in means[:WORST])
