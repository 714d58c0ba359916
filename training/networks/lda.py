"""The identity head in closed form: linear discriminant analysis of the training latents.

Whitens what differs between pictures of one subject, and keeps the directions that differ between subjects, each by how
much of it is not chance (Fisher 1936; the shrinkage of the scatter is Friedman 1989's). Knows only vectors and labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from measure.errors import MeasureError
from measure.protocol import evaluate
from training.errors import DataError

SHRINKAGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Shares of the mean within-subject variance that may be added to every direction."""


def fit_lda(latents: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """W such that the cosine of `W (mu - m)` tells subjects apart.

    The shrinkage is the one of `SHRINKAGES` that works best for the other half of the subjects.

    Args:
        latents: (N, D) float64.
        labels: (N,) of subjects, at least two with at least two pictures each.

    Returns:
        (D, D) float64; its last rows are zero where there are fewer subjects than dimensions.

    Raises:
        DataError: labels say too little.
    """
    _, counts = np.unique(labels, return_counts=True)
    if (counts > 1).sum() < 2:
        raise DataError(
            "--identity-head fitted needs at least two subjects with two pictures each in the training data"
        )
    return _lda(latents, labels, _best_shrinkage(latents, labels))


def _best_shrinkage(latents: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """By rank-1 and EER on the odd subjects of a fit on the even ones."""
    number = np.unique(labels, return_inverse=True)[1]
    fitted, judged = number % 2 == 0, number % 2 == 1

    def score(shrinkage: float) -> float:
        weights = _lda(latents[fitted], labels[fitted], shrinkage)
        scores = evaluate((latents[judged] - latents[fitted].mean(0)) @ weights.T, labels[judged].tolist())
        return scores.rank1 - scores.eer

    try:
        return max(SHRINKAGES, key=score)
    except MeasureError:  # too few pictures of each subject to judge by
        return SHRINKAGES[-1]


def _lda(latents: NDArray[np.float64], labels: NDArray[np.int64], shrinkage: float) -> NDArray[np.float64]:
    _, number, counts = np.unique(labels, return_inverse=True, return_counts=True)
    centred = latents - latents.mean(0)
    means = np.zeros((len(counts), latents.shape[1]))
    np.add.at(means, number, centred)
    means /= counts[:, None]
    within = centred - means[number]
    scatter = within.T @ within / len(within)
    scatter += shrinkage * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    values, vectors = np.linalg.eigh(scatter)
    whiten = vectors / np.sqrt(values.clip(1e-12))  # (D, D)
    spread = means @ whiten
    between, axes = np.linalg.eigh(spread.T @ spread / len(spread))
    between, axes = between[::-1], axes[:, ::-1]
    # Means of n pictures differ by 1/n of the whitened within-subject variance even where subjects do not.
    real = np.maximum(between - 1 / counts.mean(), 0) / between.clip(1e-9)
    weights: NDArray[np.float64] = (whiten @ axes * np.sqrt(real)).T
    return weights
