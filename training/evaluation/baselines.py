"""What the learned embedding has to beat, on the same crops: HOG, LBP, BSIF, and principal components of the pixels.

All are classical and need no labels; the first three are what published tables of ear recognition have. Knows no torch.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

PCA_COMPONENTS = (64, 256, 1024)
CELL_PX = 16
"""Side of the cells whose histograms LBP and BSIF are made of."""
LBP_POINTS, LBP_RADIUS_PX = 8, 2
BSIF_FILTERS, BSIF_SIDE_PX = 8, 11
BSIF_PATCHES = 6_000
"""Patches that the filters are learned from."""


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


def lbp(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Histograms of uniform local binary patterns (Ojala et al. 2002): 8 points at 2 px, cells of 16 px.

    Args:
        crops: (N, S, S, 3) uint8 RGB, left orientation.

    Returns:
        (N, F) float32: square roots of the histograms, so that their cosine is the Bhattacharyya coefficient.
    """
    from skimage.feature import local_binary_pattern

    greys = ((grey * 255).round().astype(np.uint8) for grey in _greys(crops))
    codes = (local_binary_pattern(grey, LBP_POINTS, LBP_RADIUS_PX, "uniform") for grey in greys)
    return np.stack([_cell_histograms(code.astype(np.int64), LBP_POINTS + 2) for code in codes])


@dataclass(frozen=True)
class Bsif:
    """Binarised statistical image features (Kannala & Rahtu 2012): signs of independent-component filters, as a code.

    The published filters come from natural photographs; these are learned in the same way from training crops, which is
    why the report's figures are of a BSIF-like descriptor.
    """

    filters: NDArray[np.float64]
    """(8, 11, 11), zero mean."""

    @classmethod
    def fit(cls, crops: NDArray[np.uint8], seed: int = 0) -> Self:
        """Learn the filters from random patches of crops (N, S, S, 3) uint8; no labels are used."""
        from sklearn.decomposition import FastICA

        generator = np.random.default_rng(seed)
        greys, side = _greys(crops), crops.shape[1] - BSIF_SIDE_PX + 1
        places = zip(
            generator.integers(len(greys), size=BSIF_PATCHES),
            generator.integers(side, size=BSIF_PATCHES),
            generator.integers(side, size=BSIF_PATCHES),
            strict=True,
        )
        patches = np.stack([greys[n][y : y + BSIF_SIDE_PX, x : x + BSIF_SIDE_PX].ravel() for n, y, x in places])
        patches -= patches.mean(axis=1, keepdims=True)
        learned = FastICA(BSIF_FILTERS, whiten="unit-variance", random_state=seed, max_iter=200, tol=1e-2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it did not converge fully: the filters are what they are
            learned.fit(patches)
        return cls(learned.components_.reshape(-1, BSIF_SIDE_PX, BSIF_SIDE_PX))

    def describe(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 -> (N, F) float32, square roots of histograms in cells of 16 px."""
        from scipy.ndimage import convolve

        rows = []
        for grey in _greys(crops):
            code = np.zeros(grey.shape, dtype=np.int64)
            for number, kernel in enumerate(self.filters):
                code |= (convolve(grey, kernel, mode="wrap") > 0).astype(np.int64) << number
            rows.append(_cell_histograms(code, 2 ** len(self.filters)))
        return np.stack(rows)


def _greys(crops: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    from skimage.color import rgb2gray

    return [rgb2gray(crop) for crop in crops]


def _cell_histograms(codes: NDArray[np.int64], values: int) -> NDArray[np.float32]:
    """Square roots of the histogram of each whole cell, joined: codes (S, S), each below `values`."""
    count = codes.shape[0] // CELL_PX
    cells = codes[: count * CELL_PX, : count * CELL_PX].reshape(count, CELL_PX, count, CELL_PX).swapaxes(1, 2)
    flat = cells.reshape(count * count, -1) + values * np.arange(count * count)[:, None]
    counts = np.bincount(flat.ravel(), minlength=values * count * count)
    return np.sqrt(counts / CELL_PX**2).astype(np.float32)


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
        fitted = PCA(count, svd_solver="randomized", random_state=seed).fit(pixels)
        return cls(fitted.mean_, fitted.components_, fitted.explained_variance_)

    def embed(self, crops: NDArray[np.uint8], components: int, whiten: bool = True) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 -> (N, K) float32: the first `components` coordinates, of unit variance if `whiten`."""
        coordinates = (crops.reshape(len(crops), -1) - self.mean) @ self.axes[:components].T
        scale = np.sqrt(self.variance[:components]) if whiten else 1.0
        return np.asarray(coordinates / scale, dtype=np.float32)

    def reconstruct(self, crops: NDArray[np.uint8], components: int) -> NDArray[np.uint8]:
        """Each crop from its first `components` coordinates, (N, S, S, 3) uint8."""
        pixels = self.embed(crops, components, whiten=False) @ self.axes[:components] + self.mean
        return pixels.round().clip(0, 255).astype(np.uint8).reshape(crops.shape)
