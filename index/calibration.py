"""Thresholds and probabilities from a gallery's own labelled ears: pairs of stored vectors, fitted by `measure`.

A calibration from elsewhere (renders, other cameras, other people) says little about these pictures. Needs no model:
only ears of known side count, since vectors of these lie in one orientation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from index.errors import CalibrationRefused
from index.items import Filter, Item
from index.neighbours import Matrix
from index.store import rows
from index.vectors import centred
from measure.calibration import calibrate

FEWEST_SUBJECTS = 20
EARS_PER_IDENTITY = 20  # so that one subject with a thousand pictures does not decide for all
MOST_EARS = 5000  # of which every pair is compared: 100 MB of similarities at once
PAGE = 1000
FOLDS = 20
"""Groups of people that are left out in turn: with 20 people each by themselves."""

Similarities = NDArray[np.float32]
Folds = NDArray[np.int8]


@dataclass(frozen=True)
class LabelledPairs:
    """Cosine similarities of pairs of ears: `genuine` (G,) of one identity, `impostor` (I,) of different subjects.

    An identity is a subject's left or right ear. Each ear is compared with every other of its side once; pairs of the
    same picture, enrolled twice, are left out. genuine_fold (G,), impostor_folds (I, 2): the groups of `FOLDS` that
    their people belong to. subjects: those with a genuine pair. ears: those that were compared. without_subject,
    without_side: ears that could not be used.
    """

    genuine: Similarities
    impostor: Similarities
    genuine_fold: Folds
    impostor_folds: Folds
    subjects: int
    ears: int
    without_subject: int
    without_side: int


def labelled_pairs(
    connection: Connection, space_id: str, dim: int, mean: Matrix | None = None, seed: int = 0
) -> LabelledPairs:
    """The pairs of a space; with a `mean` (D,), of vectors from which it is taken away. See `LabelledPairs`."""
    items = {key: item for key, item in all_items(connection)}
    chosen = spread([(key, item) for key, item in items.items() if item.subject and item.side], seed)
    keys, embeddings = rows.embeddings(connection, space_id, dim, chosen)
    order = np.argsort(keys)
    used = [items[key] for key in keys[order].tolist()]
    matrix = embeddings[order] if mean is None else centred(embeddings[order], mean)
    folds = (codes([item.subject for item in used]) % FOLDS).astype(np.int8)
    sides = [[n for n, item in enumerate(used) if item.side == side] for side in ("left", "right")]
    parts = [compared([used[n] for n in places], matrix[places], folds[places]) for places in sides]
    genuine, impostor, genuine_fold, impostor_folds = (np.concatenate(part) for part in zip(*parts, strict=True))
    return LabelledPairs(
        genuine,
        impostor,
        genuine_fold,
        impostor_folds,
        subjects_with_pairs(used),
        len(used),
        sum(item.subject is None for item in items.values()),
        sum(item.subject is not None and item.side is None for item in items.values()),
    )


def calibration_document(pairs: LabelledPairs, space_id: str, sequence: int, is_centred: bool) -> dict[str, Any]:
    """A calibration as it is kept: how similarities are judged, and what it was made on. Raises CalibrationRefused."""
    if pairs.subjects < FEWEST_SUBJECTS:
        raise CalibrationRefused(
            f"{pairs.subjects} subjects have two or more different pictures of one ear, and at least {FEWEST_SUBJECTS} "
            f"are needed: enrol more with their subject and side ({pairs.without_subject} ears have no subject, "
            f"{pairs.without_side} of the others no side)"
        )
    on = f"this gallery: {pairs.ears:,} pictures of {pairs.subjects:,} people"
    made_on = {name: getattr(pairs, name) for name in ("subjects", "ears", "without_subject", "without_side")}
    fit = calibrate(pairs.genuine, pairs.impostor, calibrated_on=on)
    return {
        "calibration": fit.to_dict(),
        "held_out": held_out(pairs, [point.far for point in fit.points]),
        "calibrated_on": {"source": "gallery", "space_id": space_id, "sequence": sequence, **made_on},
        "centred": is_centred,
    }


def held_out(pairs: LabelledPairs, fars: Sequence[float]) -> list[dict[str, float]]:
    """What thresholds do to people that they were made without: `far` and `tar`, for each rate asked for.

    Each of `FOLDS` groups of people is left out in turn: thresholds are those of the others' pairs, and judge the pairs
    in which somebody of the group takes part.
    """
    accepted, judged = np.zeros((2, len(fars))), np.zeros(2)
    for fold in range(FOLDS):
        theirs = (pairs.impostor_folds == fold).any(axis=1)
        others, own, own_genuine = (
            pairs.impostor[~theirs],
            pairs.impostor[theirs],
            pairs.genuine[pairs.genuine_fold == fold],
        )
        ranks = [len(others) - 1 - int(far * len(others)) for far in fars]
        thresholds = np.partition(others, ranks)[ranks] if ranks else others[:0]
        for row, similarities in enumerate((own, own_genuine)):
            accepted[row] += [(similarities > threshold).sum() for threshold in thresholds]
            judged[row] += len(similarities)
    rates = accepted / np.maximum(judged, 1)[:, None]
    return [{"far": float(far), "tar": float(tar)} for far, tar in rates.T]


def described(document: Mapping[str, Any]) -> str:
    """A calibration document in words, with how many pairs stand behind each rate."""
    fit, made_on = document["calibration"], document["calibrated_on"]
    lines = [
        f"{fit['genuine_pairs']:,} pairs of one ear and {fit['impostor_pairs']:,} of different people, from "
        f"{made_on['ears']:,} ears of {made_on['subjects']:,} people"
        + (" (similarities of centred vectors)" if document["centred"] else ""),
        f"left out: {made_on['without_subject']:,} ears without a subject, {made_on['without_side']:,} without a side",
    ]
    for point, others in zip(fit["points"], document["held_out"], strict=True):
        lines.append(
            f"false accepts {point['far']:<7g} threshold {point['threshold']:.4f}  finds {point['tar']:6.1%} of the "
            f"genuine pairs; {point['false_accepts']:,} pairs of different people lie above it "
            f"(on people left out: {others['far']:.4g}, {others['tar']:.1%})"
        )
    return "\n".join(lines)


def all_items(connection: Connection) -> list[tuple[int, Item]]:
    """Every item with its key."""
    items: list[tuple[int, Item]] = []
    while page := rows.page(connection, items[-1][0] if items else -1, PAGE, Filter()):
        items += page
    return items


def spread(items: Sequence[tuple[int, Item]], seed: int) -> list[int]:
    """Keys of at most `EARS_PER_IDENTITY` random ears of each identity, and of `MOST_EARS` in all, whole identities."""
    random = np.random.default_rng(seed)
    of_identity: dict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for key, item in items:
        of_identity[item.subject, item.side].append(key)
    groups = [keys for _, keys in sorted(of_identity.items())]
    chosen: list[int] = []
    for place in random.permutation(len(groups)).tolist():
        keys = groups[place]
        some = random.choice(keys, EARS_PER_IDENTITY, replace=False) if len(keys) > EARS_PER_IDENTITY else keys
        if len(chosen) + len(some) <= MOST_EARS:
            chosen += [int(key) for key in some]
    return chosen


def compared(items: Sequence[Item], matrix: Matrix, folds: Folds) -> tuple[Similarities, Similarities, Folds, Folds]:
    """Similarities of every pair of ears of one side: those of one subject, and those of different ones; their folds.

    folds: (N,) of the ears' people.
    """
    first, second = np.triu_indices(len(items), k=1)
    subjects, pictures = codes([item.subject for item in items]), codes([item.sha256 for item in items])
    similarities = (matrix @ matrix.T)[first, second]
    same = subjects[first] == subjects[second]
    genuine = same & (pictures[first] != pictures[second])
    both = np.stack([folds[first[~same]], folds[second[~same]]], axis=1)
    return similarities[genuine], similarities[~same], folds[first[genuine]], both


def codes(names: Sequence[str | None]) -> NDArray[np.int64]:
    """(N,): a number for each name, equal where the names are equal."""
    numbers: dict[str | None, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def subjects_with_pairs(items: Sequence[Item]) -> int:
    """How many subjects have two different pictures of one ear."""
    pictures: dict[tuple[str | None, str | None], set[str]] = defaultdict(set)
    for item in items:
        pictures[item.subject, item.side].add(item.sha256)
    return len({subject for (subject, _), several in pictures.items() if len(several) > 1})
