"""The principal components of the training latents ("eigenears"): what sliders move and explanations are told in.

Coefficients are in standard deviations: 0 is the mean ear, +-2 is far out. Knows latents only, no pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve.errors import BadRequest

FILE_NAME = "eigenears.npz"
LARGEST_COEFFICIENT = 10.0
"""Standard deviations; further out nothing was ever trained."""

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Eigenears:
    """mean: (D,) float32. components: (K, D) float32, orthonormal rows by falling variance. deviations: (K,) float32.

    shares: (K,) float32, of the total variance.
    """

    mean: Vector
    components: Vector
    deviations: Vector
    shares: Vector

    @property
    def count(self) -> int:
        """K."""
        return len(self.components)

    def coefficients(self, mu: Vector) -> Vector:
        """(D,) latent -> (K,) standard deviations from the mean ear along each component."""
        along = self.components @ (np.asarray(mu, np.float32) - self.mean)
        return np.asarray(along / np.maximum(self.deviations, 1e-12), np.float32)

    def latent(self, coefficients: list[float]) -> Vector:
        """Coefficients of the first components -> (D,) latent. Raises BadRequest where there are too many."""
        if len(coefficients) > self.count:
            raise BadRequest(f"{len(coefficients)} eigenear coefficients; this bundle has {self.count}", "eigenears")
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            weights = np.asarray(coefficients, np.float32)
        if np.abs(weights).max(initial=0.0) > LARGEST_COEFFICIENT:
            raise BadRequest(
                f"eigenears are standard deviations, at most {LARGEST_COEFFICIENT:g} away from 0", "eigenears"
            )
        steps = weights * self.deviations[: len(weights)]
        return np.asarray(self.mean + steps @ self.components[: len(weights)], np.float32)

    def share_outside(self, mu: Vector) -> float:
        """The part of a latent's distance from the mean that the components do not explain, 0 to 1."""
        offset = np.asarray(mu, np.float32) - self.mean
        total = float(offset @ offset)
        inside = float(np.square(self.components @ offset).sum())
        return max(0.0, 1.0 - inside / total) if total > 0 else 0.0


def load_eigenears(folder: Path) -> Eigenears | None:
    """The eigenears of a bundle folder; None where it has none."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as archive:
        deviations = np.sqrt(np.maximum(archive["explained_variance"], 0.0))
        shares = archive["explained_variance_ratio"]
        return Eigenears(archive["mean"], archive["components"], deviations, shares)
