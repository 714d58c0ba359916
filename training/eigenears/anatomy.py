"""Anatomy or just brightness? A measured answer for each component.

How well a component is predicted, for people not in the fit, from the shape of the ear (its landmarks) once light, skin
and pose are regressed out of both; beside how well it is predicted from brightness and colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.records.record import EarRecord
from training.data.crops import Framed

FOLDS = 5
Table = NDArray[np.float64]


class Anatomy(NamedTuple):
    """Held-out R² of each of K components; (K,) float64, negative where the mean predicts better."""

    shape: Table | None
    """From landmarks, after light, skin and pose are regressed out; None where none are known."""
    appearance: Table
    """From brightness and colour."""
    pose: Table | None
    """From yaw, pitch and roll, where the data has them."""


def anatomy(scores: Table, items: Sequence[Framed], records: Sequence[EarRecord]) -> Anatomy | None:
    """Judge components.

    Args:
        scores: (N, K) coordinates of the pictures on the components.
        items: their crops and landmarks.
        records: what else is known of them.

    Returns:
        None where there are too few people to hold some out.
    """
    groups = np.array([record.subject or f"picture {n}" for n, record in enumerate(records)])
    if len(set(groups)) < 2 * FOLDS:
        return None
    brightness = np.stack([appearance(item.crop) for item in items])
    angles, lights = pose_of(records), one_hot([record.attributes.get("light") for record in records])
    nuisance = np.concatenate([brightness, lights, *([angles] if angles is not None else [])], axis=1)
    is_labelled = np.array([item.weights.min() > 0 if len(item.weights) else False for item in items])
    shape = None
    if len(set(groups[is_labelled])) >= 2 * FOLDS:
        points = np.stack([item.landmarks.ravel() for item, keep in zip(items, is_labelled, strict=True) if keep])
        shape = held_out_r2(points.astype(np.float64), scores[is_labelled], groups[is_labelled], nuisance[is_labelled])
    return Anatomy(
        shape,
        held_out_r2(brightness, scores, groups),
        None if angles is None else held_out_r2(angles, scores, groups),
    )


def held_out_r2(inputs: Table, targets: Table, groups: NDArray[np.str_], nuisance: Table | None = None) -> Table:
    """R² of a ridge regression for people it was not fitted to, pooled over five folds.

    Args:
        inputs: (N, F).
        targets: (N, K).
        groups: (N,) subjects; none is on both sides of a fold.
        nuisance: (N, M), regressed out of inputs and targets by what the fitting folds say.

    Returns:
        (K,)
    """
    from sklearn.model_selection import GroupKFold

    left = np.zeros_like(targets)
    reference = np.zeros_like(targets)
    for fitted, held in GroupKFold(FOLDS).split(inputs, groups=groups):
        x, y = inputs, targets
        if nuisance is not None:
            x = inputs - _ridge(nuisance[fitted], inputs[fitted], nuisance)
            y = targets - _ridge(nuisance[fitted], targets[fitted], nuisance)
        left[held] = y[held] - _ridge(x[fitted], y[fitted], x[held])
        reference[held] = y[held] - y[fitted].mean(0)
    return np.asarray(1 - (left**2).sum(0) / (reference**2).sum(0))


def _ridge(inputs: Table, targets: Table, ask: Table) -> Table:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model: Any = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 7)))
    return np.asarray(model.fit(inputs, targets).predict(ask))


def appearance(crop: NDArray[np.uint8]) -> Table:
    """(7,): mean colour, contrast of each channel, and how much lighter the right half is than the left."""
    pixels = crop.astype(np.float64) / 255
    half = crop.shape[1] // 2
    slope = pixels[:, half:].mean() - pixels[:, :half].mean()
    return np.concatenate([pixels.mean((0, 1)), pixels.std((0, 1)), [slope]])


def pose_of(records: Sequence[EarRecord]) -> Table | None:
    """(N, 3) yaw, pitch and roll in degrees, turned as the left-oriented crop is; None where not known of all."""
    try:
        angles = np.array([[float(r.attributes[name]) for name in ("yaw", "pitch", "roll")] for r in records])
    except (KeyError, ValueError):
        return None
    turned = np.array([-1.0 if record.side == "right" else 1.0 for record in records])
    return np.asarray(angles * np.stack([turned, np.ones_like(turned), turned], axis=1))


def one_hot(values: Sequence[str | None]) -> Table:
    """(N, number of values)."""
    names = sorted({value for value in values if value is not None})
    return np.array([[float(value == name) for name in names] for value in values]).reshape(len(values), len(names))
