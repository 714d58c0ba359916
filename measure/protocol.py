"""The protocol behind every identification and verification figure of the project.

The first `per_subject` pictures of an identity are its gallery, the rest are queries; search is closed-set over that
gallery, verification compares every query with every gallery picture. Subject-disjointness from training is the
caller's to keep. An identity may be any hashable: a subject, or (subject, side).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from measure.errors import MeasureError
from measure.identification import cmc
from measure.vectors import as_vectors, unit
from measure.verification import Roc, auc, eer, roc, tar_at_far


@dataclass(frozen=True)
class Split:
    """Row numbers, (G,) and (Q,) int64, in the order of the pictures."""

    gallery: NDArray[np.int64]
    queries: NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """What one embedding reaches under the protocol. Rates are 0 to 1."""

    rank1: float
    rank5: float
    cmc: NDArray[np.float64]
    """(20,) float64: rank-1 to rank-20."""
    eer: float
    auc: float
    tar_at_1e2: float
    """True-accept rate at a false-accept rate of 1e-2."""
    tar_at_1e3: float
    roc: Roc
    subjects: int
    """Identities among the queries."""
    queries: int
    genuine_pairs: int
    impostor_pairs: int


@dataclass(frozen=True)
class Comparison:
    """Every query against every gallery picture."""

    similarity: NDArray[np.float64]
    """(Q, G) cosine."""
    query_ids: list[Hashable]
    gallery_ids: list[Hashable]
    same: NDArray[np.bool_]
    """(Q, G): the pair shows one identity."""


def gallery_query_split(subjects: Sequence[Hashable], per_subject: int = 2) -> Split:
    """The first `per_subject` pictures of each subject are gallery, the others queries.

    A subject with no more pictures than that has no query and serves as a distractor. Raises MeasureError where no
    query is left.
    """
    if per_subject < 1:
        raise MeasureError(f"per_subject is {per_subject}; at least 1 picture of a subject must be in the gallery")
    seen: dict[Hashable, int] = {}
    gallery: list[int] = []
    queries: list[int] = []
    for row, subject in enumerate(subjects):
        seen[subject] = seen.get(subject, 0) + 1
        (gallery if seen[subject] <= per_subject else queries).append(row)
    if not queries:
        raise MeasureError(f"no queries: none of {len(seen)} subjects has more than {per_subject} pictures")
    return Split(np.asarray(gallery, dtype=np.int64), np.asarray(queries, dtype=np.int64))


def compare(embeddings: ArrayLike, subjects: Sequence[Hashable], per_subject: int = 2) -> Comparison:
    """Cosine similarity of each query with each gallery picture. embeddings: (N, D); subjects: N hashables."""
    vectors = unit(as_vectors(embeddings, "embeddings"))
    if len(vectors) != len(subjects):
        raise MeasureError(f"{len(vectors)} embeddings for {len(subjects)} subjects")
    split = gallery_query_split(subjects, per_subject)
    query_ids = [subjects[row] for row in split.queries]
    gallery_ids = [subjects[row] for row in split.gallery]
    number = {identity: index for index, identity in enumerate(dict.fromkeys(subjects))}
    same = np.equal.outer([number[i] for i in query_ids], [number[i] for i in gallery_ids])
    return Comparison(vectors[split.queries] @ vectors[split.gallery].T, query_ids, gallery_ids, same)


def evaluate(embeddings: ArrayLike, subjects: Sequence[Hashable], per_subject: int = 2) -> Scores:
    """All figures of one embedding. embeddings: (N, D), any length (cosine is used); subjects: N identities."""
    return score(compare(embeddings, subjects, per_subject))


def score(pairs: Comparison) -> Scores:
    """All figures of a comparison: of `compare`'s, of some of its queries, or of similarities made another way."""
    match = cmc(pairs.similarity, pairs.query_ids, pairs.gallery_ids)
    curve = roc(pairs.similarity[pairs.same], pairs.similarity[~pairs.same])
    return Scores(
        rank1=float(match[0]),
        rank5=float(match[4]),
        cmc=match,
        eer=eer(curve),
        auc=auc(curve),
        tar_at_1e2=tar_at_far(curve, 1e-2),
        tar_at_1e3=tar_at_far(curve, 1e-3),
        roc=curve,
        subjects=len(set(pairs.query_ids)),
        queries=len(pairs.query_ids),
        genuine_pairs=int(pairs.same.sum()),
        impostor_pairs=int((~pairs.same).sum()),
    )
