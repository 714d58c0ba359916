"""`eigenears.npz`: the principal components of latents, for the service's sliders and explanations. Knows no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EIGENEARS_NAME = "eigenears.npz"
MOST_COMPONENTS = 64


def principal_components(latents: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """PCA of mu.

    Args:
        latents: (N, D) float32, N >= 2.

    Returns:
        mean (D,); components (K, D), orthonormal rows by falling variance, K = min(64, N - 1, D), each with its largest
        entry positive; explained_variance (K,), in squared latent units; explained_variance_ratio (K,), shares of the
        total variance. All float32.
    """
    values = latents.astype(np.float64)
    mean = values.mean(axis=0)
    _, singular, rows = np.linalg.svd(values - mean, full_matrices=False)
    variance = singular**2 / (len(values) - 1)
    kept = min(MOST_COMPONENTS, len(values) - 1, values.shape[1])
    components = rows[:kept]
    largest = components[np.arange(kept), np.abs(components).argmax(axis=1)]
    components = components * np.where(largest < 0, -1.0, 1.0)[:, None]  # SVD leaves the sign to chance
    ratio = variance / max(float(variance.sum()), 1e-30)
    arrays = {
        "mean": mean,
        "components": components,
        "explained_variance": variance[:kept],
        "explained_variance_ratio": ratio[:kept],
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def write_eigenears(folder: Path, latents: NDArray[np.float32]) -> Path:
    """Write `eigenears.npz` for latents (N, D) float32."""
    path = folder / EIGENEARS_NAME
    arrays = principal_components(latents)
    np.savez_compressed(path, count=np.int64(len(latents)), **arrays)  # type: ignore[arg-type]
    return path
