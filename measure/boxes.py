"""Found boxes against true ones: overlap, average precision, recall. Boxes are x1, y1, x2, y2 in any one unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COCO_OVERLAPS = tuple(np.arange(0.5, 0.96, 0.05).round(2).tolist())
"""Least overlaps that COCO's mean average precision is taken over."""


class Precision(NamedTuple):
    """Precision and recall as the least score falls, one entry for each found box."""

    recall: Array
    precision: Array
    scores: Array


def iou(a: Array, b: Array) -> Array:
    """Intersection over union of every pair: (N, 4), (M, 4) -> (N, M), 0 to 1."""
    first, second = a[:, None], b[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    areas = (first[..., 2:] - first[..., :2]).prod(axis=-1) + (second[..., 2:] - second[..., :2]).prod(axis=-1)
    union: Array = areas - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(union), where=union > 0), np.float64)


def precision_curve(
    found: Sequence[Array], scores: Sequence[Array], truth: Sequence[Array], least_overlap: float = 0.5
) -> Precision:
    """Match found boxes to true ones, the most certain first, each true box once.

    Args:
        found: for each picture (N, 4).
        scores: for each picture (N,).
        truth: for each picture (M, 4); M = 0 for a picture without any.
        least_overlap: what a match needs.
    """
    hits: list[float] = []
    for boxes, certainty, true_boxes in zip(found, scores, truth, strict=True):
        overlaps = iou(np.reshape(boxes, (-1, 4)), np.reshape(true_boxes, (-1, 4)))
        free = np.ones(len(true_boxes), bool)
        hit = np.zeros(len(boxes))
        for number in np.argsort(-np.asarray(certainty), kind="stable"):
            left = np.where(free, overlaps[number], -1.0)
            if left.size and left.max() >= least_overlap:
                free[left.argmax()] = False
                hit[number] = 1
        hits += hit.tolist()
    ranked = np.concatenate([np.zeros(0), *scores])
    order = np.argsort(-ranked, kind="stable")
    right = np.cumsum(np.array(hits)[order]) if hits else np.zeros(0)
    total = sum(len(true_boxes) for true_boxes in truth)
    return Precision(right / max(total, 1), right / np.arange(1, len(right) + 1), ranked[order])


def average_precision(curve: Precision) -> float:
    """Area under precision over recall, precision made monotone (PASCAL VOC from 2010 on, and COCO)."""
    if not len(curve.recall):
        return 0.0
    best = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float((np.diff(curve.recall, prepend=0.0) * best).sum())


def best_threshold(curve: Precision) -> float:
    """The score at which the harmonic mean of precision and recall is highest; 1 where nothing was found."""
    if not len(curve.scores):
        return 1.0
    balance = 2 * curve.precision * curve.recall / np.maximum(curve.precision + curve.recall, 1e-12)
    return float(curve.scores[balance.argmax()])
