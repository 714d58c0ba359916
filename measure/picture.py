"""How like two pictures are: PSNR and SSIM, one number a picture.

Pictures are (..., H, W, 3) uint8; leading axes are kept. Knows nothing of ears.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from measure.errors import MeasureError

Pictures = NDArray[np.uint8]

WINDOW_SIGMA = 1.5
WINDOW_RADIUS = 5  # 11 x 11 pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(a: Pictures, b: Pictures) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB, over all pixels and channels of each picture; inf where they are equal."""
    first, second = _pair(a, b)
    error = np.square(first - second).mean(axis=(-3, -2, -1))
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(255.0**2 / error))


def ssim(a: Pictures, b: Pictures) -> NDArray[np.float64]:
    """Structural similarity, -1 to 1: the mean over channels and over positions where the window is inside.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment" (2004): Gaussian window 11 x 11, sigma 1.5,
    K1 = 0.01, K2 = 0.03. Pictures must be at least 11 pixels high and wide.
    """
    first, second = _pair(a, b)
    if min(first.shape[-3:-1]) < 2 * WINDOW_RADIUS + 1:
        raise MeasureError(f"SSIM needs pictures of at least 11x11 px; given {first.shape[-2]}x{first.shape[-3]}")
    mean_a, mean_b = _window(first), _window(second)
    var_a = _window(first * first) - mean_a**2
    var_b = _window(second * second) - mean_b**2
    covariance = _window(first * second) - mean_a * mean_b
    index = ((2 * mean_a * mean_b + C1) * (2 * covariance + C2)) / ((mean_a**2 + mean_b**2 + C1) * (var_a + var_b + C2))
    return np.asarray(index.mean(axis=(-3, -2, -1)))


def _window(values: NDArray[np.float64]) -> NDArray[np.float64]:
    for axis in (-3, -2):
        values = gaussian_filter1d(values, WINDOW_SIGMA, axis=axis, radius=WINDOW_RADIUS)
    inside = slice(WINDOW_RADIUS, -WINDOW_RADIUS)
    return values[..., inside, inside, :]


def _pair(a: Pictures, b: Pictures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if a.shape != b.shape or a.ndim < 3 or a.shape[-1] != 3 or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise MeasureError(
            f"pictures must be two (..., H, W, 3) uint8 of one shape; given {a.shape} {a.dtype} and {b.shape} {b.dtype}"
        )
    return a.astype(np.float64), b.astype(np.float64)
