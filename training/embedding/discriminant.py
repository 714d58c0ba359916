"""The projection of descriptions to embeddings, in closed form: linear discriminant analysis with shrinkage.

Whitens what differs between pictures of one person (Fisher 1936; shrinkage: Friedman 1989) and weighs each direction by
how much of it tells people apart, as a Wiener filter does. Knows only vectors and labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 0.3
"""Share of the within-person scatter that is replaced by its mean variance in every direction."""
LEAST = 0.05
"""Least weight of a direction: real people differ where rendered ones do not."""


def fit_projection(
    descriptions: NDArray[np.float32], people: NDArray[np.str_], dimensions: int, shrinkage: float = SHRINKAGE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and weights such that the cosine of `weights @ (description - mean)` tells people apart.

    Args:
        descriptions: (N, F) float32.
        people: (N,) who each shows; at least two people with two pictures each.
        dimensions: D, length of an embedding.
        shrinkage: 0 to 1.

    Returns:
        mean (F,) and weights (D, F), float32; the directions by falling weight.

    Raises:
        ValueError: too few people, or fewer features than dimensions.
    """
    if descriptions.shape[1] < dimensions:
        raise ValueError(f"{descriptions.shape[1]} features (at least {dimensions}) are too few")
    mean = descriptions.mean(0)
    centred = descriptions - mean
    number, counts, means = _people(centred, people)
    whiten = _whitening(centred - means[number], shrinkage)
    between, axes = np.linalg.eigh(_scatter(means @ whiten))
    between, axes = between[::-1], axes[:, ::-1]
    chance = (((centred - means[number]) @ whiten @ axes) ** 2).mean(0) / counts.mean()
    signal = np.maximum(between - chance, 0.0)
    weight = np.maximum(np.sqrt(signal / (signal + 1.0)), LEAST)
    projection = (whiten @ axes * weight)[:, :dimensions]
    return mean.astype(np.float32), np.ascontiguousarray(projection.T, np.float32)


def within_whitening(vectors: NDArray[np.float32], people: NDArray[np.str_], shrinkage: float) -> NDArray[np.float64]:
    """(D, D) such that `vectors @ it` vary alike in every direction between pictures of one person.

    Args:
        vectors: (N, D) float32, of mean zero.
        people: (N,) who each shows; at least two people with two pictures each.
        shrinkage: 0 to 1.

    Raises:
        ValueError: too few people.
    """
    number, _, means = _people(vectors, people)
    return _whitening(vectors - means[number], shrinkage)


def _people(
    centred: NDArray[np.float32], people: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The number of each row's person, how many rows each person has, and the means (P, D). Raises ValueError."""
    _, number, counts = np.unique(people, return_inverse=True, return_counts=True)
    if (counts > 1).sum() < 2:
        raise ValueError(f"{(counts > 1).sum()} people with two pictures (at least 2) are too few")
    means = np.zeros((len(counts), centred.shape[1]), np.float32)
    np.add.at(means, number, centred)
    means /= counts[:, None]
    return number, counts, means


def _whitening(within: NDArray[np.float32], shrinkage: float) -> NDArray[np.float64]:
    scatter = _scatter(within)
    level = np.trace(scatter) / len(scatter)
    values, vectors = np.linalg.eigh((1 - shrinkage) * scatter + shrinkage * level * np.eye(len(scatter)))
    return np.asarray(vectors / np.sqrt(values.clip(1e-9)))


def _scatter(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(rows.T @ rows / len(rows), np.float64)
