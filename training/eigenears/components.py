"""Eigenears: the principal components of the latents (after Turk & Pentland 1991's eigenfaces), and their pictures.

Knows no files and no labels; what the components mean is `anatomy.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError
from training.evaluation.model import StudiedModel

Latents = NDArray[np.float32]
STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Standard deviations at which a component is drawn."""


@dataclass(frozen=True)
class Eigenears:
    """Principal components of latents, by falling variance; an axis points to where its largest entry is positive."""

    mean: NDArray[np.float64]
    """(D,)"""
    axes: NDArray[np.float64]
    """(K, D), orthonormal."""
    variance: NDArray[np.float64]
    """(K,) along each axis."""
    total_variance: float
    """Over all D dimensions."""

    @classmethod
    def fit(cls, mu: Latents, components: int) -> Self:
        """Fit to (N, D) latents; fewer components where there are fewer latents.

        Raises:
            DataError: fewer than three latents.
        """
        if len(mu) < 3:
            raise DataError(f"eigenears need at least 3 pictures; there are {len(mu)}")
        mean = mu.mean(0, dtype=np.float64)
        _, scale, axes = np.linalg.svd(mu - mean, full_matrices=False)
        variance = scale**2 / (len(mu) - 1)
        count = min(components, len(mu) - 1, mu.shape[1])
        axes = axes[:count] * np.sign(axes[np.arange(count), np.abs(axes[:count]).argmax(1)])[:, None]
        return cls(mean, axes, variance[:count], float(variance.sum()))

    @property
    def share(self) -> NDArray[np.float64]:
        """(K,) of the total variance."""
        return self.variance / self.total_variance

    def scores(self, mu: Latents) -> NDArray[np.float64]:
        """(N, D) -> (N, K) coordinates, in standard deviations."""
        return np.asarray((mu - self.mean) @ self.axes.T / np.sqrt(self.variance))

    def strip(self, model: StudiedModel, component: int) -> NDArray[np.uint8]:
        """The mean ear moved along one axis by `STEPS`: (S, len(STEPS) x S, 3) uint8, side by side."""
        offsets = np.outer(STEPS, np.sqrt(self.variance[component]) * self.axes[component])
        pictures = model.decode((self.mean + offsets).astype(np.float32))
        return np.concatenate(list(pictures), axis=1)
