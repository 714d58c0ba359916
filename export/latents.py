"""What the crops' latents give a bundle: eigenears, and a calibration where the checkpoint brings none.

The crops are encoded by the exported float32 file, not by torch: it is there, judged, and faster.
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
from export.eigenears import write_eigenears
from export.graph.wrappers import ENCODER_INPUT
from export.parity.run import Outputs, run_session
from export.parity.variants import RUNTIME, Reference, file_name
from measure.calibration import calibrate
from measure.errors import MeasureError
from measure.protocol import compare

BUDGET_S = 60.0
"""Most time that encoding crops beyond the gate's may take."""
CHUNK = 64


def latent_statistics(
    folder: Path, crops: Crops, reference: Reference, metrics: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Write `eigenears.npz` and return the calibration for the manifest (None: neither saved nor computable)."""
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
    return _calibration(embedding, identities[: len(embedding)]) if identities is not None else None


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


def _calibration(embedding: NDArray[np.float32], identities: Sequence[Hashable]) -> dict[str, Any] | None:
    """Platt scaling on genuine and impostor pairs of the crops; None where either kind is missing."""
    try:
        pairs = compare(embedding, identities)
        return calibrate(pairs.similarity[pairs.same], pairs.similarity[~pairs.same]).to_dict()
    except MeasureError:
        return None
