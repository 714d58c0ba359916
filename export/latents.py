"""What the latents of the comparison crops add to a bundle: `eigenears.npz`, and a calibration where there is none.

The crops are encoded by the exported float32 file rather than by torch: it was compared already, and is faster.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.runtimes import open_session
from export.crops import Crops
from export.graph.wrappers import ENCODER_INPUT
from export.parity.reference import Outputs, Reference, run_session
from export.parity.variants import RUNTIME, file_name
from measure.calibration import calibrate
from measure.errors import MeasureError
from measure.protocol import compare

BUDGET_S = 60.0
"""Most time that encoding crops beyond the reference's may take."""
CHUNK = 64


def latent_statistics(
    folder: Path, crops: Crops, reference: Reference, metrics: Mapping[str, Any], calibrate_crops: bool = True
) -> dict[str, Any] | None:
    """Write `eigenears.npz` and return the calibration for the manifest: the saved one, else one of the crops.

    None where there is neither, or the crops must not give one (`calibrate_crops`).
    """
    encoded = _encode_within(BUDGET_S, folder, crops)
    if len(encoded["mu"]) > len(reference.crops):
        embedding, mu, identities = encoded["embedding"], encoded["mu"], crops.identities
    else:
        embedding, mu = reference.encoded["embedding"], reference.encoded["mu"]
        identities = reference.crops.identities
    write_eigenears(folder, mu)
    saved = metrics.get("calibration")
    if saved is not None:
        return dict(saved)
    return (
        calibration_of(embedding, identities[: len(embedding)]) if identities is not None and calibrate_crops else None
    )


def _encode_within(seconds: float, folder: Path, crops: Crops) -> Outputs:
    """Encode crops in order until all are done or the time is up."""
    session = open_session(folder / file_name("encoder", "fp32"), RUNTIME)
    start = time.perf_counter()
    try:
        parts = [run_session(session, ENCODER_INPUT, crops.pixels[:1], 1)]
        done = 1
        while done < len(crops) and (spent_s := time.perf_counter() - start) < seconds:
            size = max(1, min(CHUNK, int(done * (seconds / spent_s - 1))))
            parts.append(run_session(session, ENCODER_INPUT, crops.pixels[done : done + size], min(size, 16)))
            done += size
    finally:
        session.close()
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def calibration_of(embedding: NDArray[np.float32], identities: Sequence[Hashable]) -> dict[str, Any] | None:
    """Platt scaling on genuine and impostor pairs of the crops; None where either kind is missing."""
    try:
        pairs = compare(embedding, identities)
        return calibrate(pairs.similarity[pairs.same], pairs.similarity[~pairs.same]).to_dict()
    except MeasureError:
        return None


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
    components = components * np.where(largest < 0, -1.0, 1.0)[:, None]  # the sign that SVD gives is arbitrary
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
