"""What the learned embedding has to beat, on the same crops: HOG, and principal components of the pixels.

Both are classical and need no labels. Knows no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

PCA_COMPONENTS = (64, 256, 1024)


def hog(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Histograms of oriented gradients (Dalal & Triggs 2005): 9 orientations, 16 px cells, blocks of 2 x 2 cells.

    Args:
        crops: (N, S, S, 3) uint8 RGB, left orientation.

    Returns:
        (N, F) float32.
    """
    from skimage.color import rgb2gray
    from skimage.feature import hog as describe

    cells = {"orientations": 9, "pixels_per_cell": (16, 16), "cells_per_block": (2, 2)}
    return np.stack([describe(rgb2gray(crop), **cells) for crop in crops]).astype(np.float32)


@dataclass(frozen=True)
class PixelPca:
    """Principal components of pictures, as an embedding and as a reconstruction."""

    mean: NDArray[np.float32]
    """(P,) P = S x S x 3."""
    axes: NDArray[np.float32]
    """(K, P), orthonormal, by falling variance."""
    variance: NDArray[np.float32]
    """(K,) of the training pictures along each axis."""

    @classmethod
    def fit(cls, crops: NDArray[np.uint8], components: int, seed: int = 0) -> Self:
        """Fit to training crops (N, S, S, 3) uint8; fewer components where there are fewer crops."""
        from sklearn.decomposition import PCA

        pixels = crops.reshape(len(crops), -1).astype(np.float32)
        count = min(components, len(crops) - 1)
        found = PCA(count, svd_solver="randomized", random_state=seed).fit(pixels)
        return cls(found.mean_, found.components_, found.explained_variance_)

    def embed(self, crops: NDArray[np.uint8], components: int, whiten: bool = True) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 -> (N, K) float32: the first `components` coordinates, of unit variance if `whiten`."""
        coordinates = (crops.reshape(len(crops), -1) - self.mean) @ self.axes[:components].T
        scale = np.sqrt(self.variance[:components]) if whiten else 1.0
        return np.asarray(coordinates / scale, dtype=np.float32)

    def reconstruct(self, crops: NDArray[np.uint8], components: int) -> NDArray[np.uint8]:
        """Each crop from its first `components` coordinates, (N, S, S, 3) uint8."""
        pixels = self.embed(crops, components, whiten=False) @ self.axes[:components] + self.mean
        return pixels.round().clip(0, 255).astype(np.uint8).reshape(crops.shape)
