"""What thresholds do to photographs of people that they were made without: `calibrate` on some, verify on others.

People are divided into groups; each group's pairs are judged by the thresholds of all other groups' pairs, so nobody's
picture stands behind the threshold that judges it. Beside it: the thresholds that the bundle brings along.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.real_ears_features import Ears, embed
from bundle.model import EarModel
from index.calibration import FEWEST_SUBJECTS
from index.vectors import centred
from measure.calibration import Calibration, calibrate

Vectors = NDArray[np.float32]
Pairs = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Similarities of genuine and of impostor pairs."""
Verdicts = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Whether genuine and whether impostor pairs were accepted."""

GROUPS = 5
ASKED = 0.01
"""The false-accept rate that is asked for."""
HEADING = (
    "| photographs, pairs | thresholds from | asked | got, all groups (each) | genuine pairs accepted |\n"
    "|---|---|---|---|---|"
)


def surer_orientation(ears: Ears, model: EarModel) -> Vectors:
    """(N, D): the embeddings of pictures of unknown side, each in the orientation whose landmarks are more certain."""
    straight, mirrored = embed(ears, model), embed(ears.mirrored(), model)
    assert straight.spread is not None, "the bundle's encoder has no output `spread`"
    assert mirrored.spread is not None, "the bundle's encoder has no output `spread`"
    return np.where((straight.spread <= mirrored.spread)[:, None], straight.embedding, mirrored.embedding)


def decisions(name: str, vectors: Vectors, subjects: Sequence[str], shipped: Calibration | None) -> list[str]:
    """Markdown rows under `HEADING`: of (N, D) unit-length vectors of N pictures, with `subjects` (N,).

    None of fewer people than `ear-teacher calibrate` takes.
    """
    people, number = np.unique(np.asarray(subjects), return_inverse=True)
    if len(people) < FEWEST_SUBJECTS:
        return []
    group = np.arange(len(people))[number] * GROUPS // len(people)
    rows = []
    for label, is_centred in (("these photographs' other people", False), ("the same, centred on their mean", True)):
        judged = [_judged(vectors, number, group == one, is_centred) for one in range(GROUPS)]
        rows.append(_row(name, label, judged))
    if shipped is not None:
        threshold = shipped.at_far(ASKED).threshold
        outcome = [_accepted(_pairs(vectors[group == one], number[group == one]), threshold) for one in range(GROUPS)]
        rows.append(_row(name, f"the bundle ({shipped.calibrated_on})", outcome))
    return rows


def _judged(vectors: Vectors, number: NDArray[np.int64], held_out: NDArray[np.bool_], is_centred: bool) -> Verdicts:
    """The pairs of the people held out, True where accepted by the threshold of the others."""
    if is_centred:
        vectors = centred(vectors, vectors[~held_out].mean(0))
    fit = calibrate(*_pairs(vectors[~held_out], number[~held_out]), fars=(ASKED,))
    return _accepted(_pairs(vectors[held_out], number[held_out]), fit.at_far(ASKED).threshold)


def _accepted(pairs: Pairs, threshold: float) -> Verdicts:
    genuine, impostor = pairs
    return genuine >= threshold, impostor >= threshold


def _pairs(vectors: Vectors, number: NDArray[np.int64]) -> Pairs:
    first, second = np.triu_indices(len(vectors), k=1)
    similarity, same = (vectors @ vectors.T)[first, second], number[first] == number[second]
    return similarity[same], similarity[~same]


def _row(name: str, label: str, groups: Sequence[Verdicts]) -> str:
    genuine, impostor = (np.concatenate(part) for part in zip(*groups, strict=True))
    each = [impostors.mean() for _, impostors in groups]
    rate = f"{impostor.mean():.4f} ({min(each):.4f}-{max(each):.4f})"
    counted = f"{len(genuine):,} genuine, {len(impostor):,} impostor"
    return f"| {name}, {counted} | {label} | {ASKED:g} | {rate} | {genuine.mean():.1%} |"
