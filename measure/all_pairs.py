"""Protocols of published tables in which every picture meets every other: leave-one-out identification, verification.

Closed-set identification as in the AWE toolbox: each picture is searched for among all others. Knows no gallery split
(`measure.protocol`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from measure.errors import MeasureError
from measure.identification import match_ranks
from measure.vectors import as_vectors, unit
from measure.verification import auc, eer, roc, tar_at_far

CHUNK = 1024
"""Pictures compared at once: the whole matrix of some ten thousand would not fit."""
MOST_IMPOSTORS = 10_000_000
"""Impostor pairs that the rates are computed of; where there are more, every n-th is taken."""
_ITSELF = -2.0
"""Below every cosine: a picture is not found by itself."""


@dataclass(frozen=True)
class LeaveOneOut:
    """Closed-set identification. Rates are 0 to 1."""

    rank1: float
    rank5: float
    queries: int
    """Pictures of identities with at least two; the others only serve as distractors."""
    identities: int


@dataclass(frozen=True)
class Verification:
    """Every pair of pictures once. Rates are 0 to 1."""

    eer: float
    auc: float
    tar_at_1e2: float
    tar_at_1e3: float
    genuine_pairs: int
    impostor_pairs: int


def leave_one_out(embeddings: ArrayLike, subjects: Sequence[Hashable]) -> LeaveOneOut:
    """embeddings: (N, D), compared by cosine; subjects: N identities.

    Raises MeasureError where no identity has two pictures.
    """
    vectors, numbers = _checked(embeddings, subjects)
    queries = np.flatnonzero(np.bincount(numbers)[numbers] > 1)
    if not len(queries):
        raise MeasureError(f"no identity of {len(set(numbers.tolist()))} has two pictures")
    ranks = []
    for start in range(0, len(queries), CHUNK):
        rows = queries[start : start + CHUNK]
        similarity = vectors[rows] @ vectors.T
        similarity[np.arange(len(rows)), rows] = _ITSELF
        ranks.append(match_ranks(similarity, numbers[rows].tolist(), numbers.tolist()))
    joined = np.concatenate(ranks)
    return LeaveOneOut(
        float((joined <= 1).mean()), float((joined <= 5).mean()), len(queries), len(set(numbers.tolist()))
    )


def verification(embeddings: ArrayLike, subjects: Sequence[Hashable]) -> Verification:
    """Arguments as in `leave_one_out`. Raises MeasureError where genuine or impostor pairs are missing."""
    vectors, numbers = _checked(embeddings, subjects)
    genuine: list[NDArray[np.float64]] = []
    impostor: list[NDArray[np.float64]] = []
    every = max(1, len(vectors) * len(vectors) // (2 * MOST_IMPOSTORS))
    total = 0
    for start in range(0, len(vectors), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(vectors)))
        later = np.arange(len(vectors)) > rows[:, None]
        same = numbers[rows][:, None] == numbers
        similarity = vectors[rows] @ vectors.T
        genuine.append(similarity[later & same])
        strangers = similarity[later & ~same]
        total += len(strangers)
        impostor.append(strangers[::every])
    of_one, of_two = np.concatenate(genuine), np.concatenate(impostor)
    if not len(of_one) or not len(of_two):
        raise MeasureError(f"{len(of_one)} genuine and {len(of_two)} impostor pairs: both kinds are needed")
    curve = roc(of_one, of_two)
    return Verification(eer(curve), auc(curve), tar_at_far(curve, 1e-2), tar_at_far(curve, 1e-3), len(of_one), total)


def _checked(embeddings: ArrayLike, subjects: Sequence[Hashable]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vectors = unit(as_vectors(embeddings, "embeddings"))
    if len(vectors) != len(subjects):
        raise MeasureError(f"{len(vectors)} embeddings for {len(subjects)} subjects")
    number = {identity: index for index, identity in enumerate(dict.fromkeys(subjects))}
    return vectors, np.asarray([number[identity] for identity in subjects], dtype=np.int64)
