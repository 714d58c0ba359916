"""What the latents of the comparison crops add to a bundle: `eigenears.npz`, and a calibration where there is none.

The crops are encoded by the exported float32 file rather than by torch: it was compared already, and is faster.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bundle.runtimes import open_session
from export.crops import Crops
from export.graph.wrappers import ENCODER_INPUT
from export.parity.reference import Outputs, Reference, run_session
from export.parity.variants import RUNTIME, file_name
from measure.calibration import calibrate, set_in_words
from measure.errors import MeasureError
from measure.protocol import compare

logger = logging.getLogger(__name__)

DROPPED = (
    "the checkpoint's calibration is dropped, since it does not say that its people were not trained on; "
    "`ear-teacher evaluate` on pictures of others makes a new one"
)
BUDGET_S = 60.0
"""Most time that encoding crops beyond the reference's may take."""
CHUNK = 64


class Calibrated(NamedTuple):
    """A calibration for the manifest; both None where there is none."""

    calibration: dict[str, Any] | None = None
    on: dict[str, Any] | None = None
    """Of whom it was made: `pictures`, `subjects`, and the sentence `trained_on`."""


def latent_statistics(folder: Path, crops: Crops, reference: Reference, metrics: Mapping[str, Any]) -> Calibrated:
    """Write `eigenears.npz` and return the checkpoint's calibration, else one of the crops.

    Neither is of people that were trained on: a saved calibration that does not say of whom it was made is dropped, and
    crops give one only where they are `held_out`.
    """
    encoded = _encode_within(BUDGET_S, folder, crops)
    if len(encoded["mu"]) > len(reference.crops):
        embedding, mu, identities = encoded["embedding"], encoded["mu"], crops.identities
    else:
        embedding, mu = reference.encoded["embedding"], reference.encoded["mu"]
        identities = reference.crops.identities
    write_eigenears(folder, mu)
    return saved_calibration(metrics) or calibrated(embedding, replace(crops, identities=identities))


def saved_calibration(metrics: Mapping[str, Any]) -> Calibrated | None:
    """The calibration that a checkpoint brings; None, and a warning, where it does not say of whom it is."""
    if metrics.get("calibration") and not metrics.get("calibrated_on"):
        logger.warning("%s", DROPPED)
    elif metrics.get("calibration"):
        return Calibrated(dict(metrics["calibration"]), dict(metrics["calibrated_on"]))
    return None


def calibrated(embedding: NDArray[np.float32], crops: Crops) -> Calibrated:
    """The calibration of the first crops, whose embeddings these are; none of people who may have been trained on."""
    if crops.identities is None or not crops.held_out:
        return Calibrated()
    identities = crops.identities[: len(embedding)]
    if (made := calibration_of(embedding, identities, crops.name)) is None:
        return Calibrated()
    people = set(people_of(identities))
    return Calibrated(made, {"pictures": len(identities), "subjects": len(people), "trained_on": crops.exposure})


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


def calibration_of(embedding: NDArray[np.float32], identities: Sequence[Hashable], name: str) -> dict[str, Any] | None:
    """Platt scaling on genuine and impostor pairs of the crops, which `name` says what they are; None without pairs."""
    calibrated_on = set_in_words(name, people_of(identities))
    try:
        pairs = compare(embedding, identities)
        genuine, impostor = pairs.similarity[pairs.same], pairs.similarity[~pairs.same]
        return calibrate(genuine, impostor, calibrated_on=calibrated_on).to_dict()
    except MeasureError:
        return None


def people_of(identities: Sequence[Hashable]) -> list[Hashable]:
    """The person of each identity, whichever ear."""
    return [identity[0] if isinstance(identity, tuple) else identity for identity in identities]


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
