"""One way to ask a checkpoint or a bundle for latents and pictures.

Evaluation, eigenears and whoever else studies a trained model work on `StudiedModel` and need not know which it is.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.framing import Framing
from bundle.model import EarModel, Encoding, load
from common.progress import log_progress
from training.checkpoint import read_checkpoint, read_trained_on
from training.data.dataset import to_pixels, to_unit
from training.data.prepare import framing
from training.data.trained_on import TrainedOn
from training.embedding.branch import unpack_branch
from training.errors import CheckpointError
from training.networks.vae import EarVAE

log = logging.getLogger(__name__)
BATCH = 32


class StudiedModel(Protocol):
    """A trained model, wherever it came from."""

    name: str
    framing: Framing
    facts: dict[str, Any]
    """What it says of itself: preset, provenance, metrics; plain JSON types."""
    trained_on: TrainedOn | None
    """None: it does not say."""

    def encode(self, crops: NDArray[np.uint8]) -> Encoding:
        """(B, S, S, 3) uint8 RGB, left orientation -> embedding, mu, logvar, (B, D) float32 each."""

    def decode(self, mu: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(B, D) float32 -> (B, S, S, 3) uint8 RGB."""


class CheckpointModel:
    """A checkpoint, in torch and float32, on a GPU where there is one."""

    def __init__(self, path: Path) -> None:
        checkpoint = read_checkpoint(path)
        self.name = path.name
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = EarVAE.load_from_checkpoint(path, self._device)
        self.framing = framing(checkpoint.config.image_size_px)
        self.trained_on = read_trained_on(path)
        self._branch = None
        if checkpoint.branch is not None:
            self._branch = unpack_branch(checkpoint.branch, path).branch.to(self._device)
        self.facts = {
            "kind": "checkpoint",
            "preset": checkpoint.config.preset,
            "config": checkpoint.config.to_dict(),
            "parameters": self.model.parameter_count()._asdict(),
            "provenance": checkpoint.provenance,
        }

    @torch.no_grad()
    def encode(self, crops: NDArray[np.uint8]) -> Encoding:
        """See `StudiedModel`."""
        pixels = torch.from_numpy(crops).to(self._device)
        mu, logvar = self.model.encoder(to_unit(pixels))
        embedding = self.model.identity(mu) if self._branch is None else self._branch(pixels)
        parts = (embedding, mu, logvar)
        return Encoding(*(part.float().cpu().numpy() for part in parts))

    @torch.no_grad()
    def decode(self, mu: NDArray[np.float32]) -> NDArray[np.uint8]:
        """See `StudiedModel`."""
        images = self.model.decoder(torch.from_numpy(mu).to(self._device))
        return np.asarray(to_pixels(images).cpu().numpy(), dtype=np.uint8)


class BundleModel:
    """A bundle, in the runtime that would serve it."""

    def __init__(self, folder: Path) -> None:
        self._model: EarModel = load(folder)
        manifest = self._model.manifest
        self.name = folder.name
        self.framing = manifest.framing
        self.trained_on = read_trained_on(folder)
        self.facts = {
            "kind": "bundle",
            "preset": manifest.preset,
            "space_id": manifest.space_id,
            "bundle_id": manifest.bundle_id,
            "runtime": self._model.runtime,
            "precision": self._model.precision,
            "provenance": dict(manifest.training.get("provenance", {})),
        }

    def encode(self, crops: NDArray[np.uint8]) -> Encoding:
        """See `StudiedModel`."""
        return self._model.encode(crops)

    def decode(self, mu: NDArray[np.float32]) -> NDArray[np.uint8]:
        """See `StudiedModel`."""
        return self._model.decode(mu)


def open_model(path: Path) -> StudiedModel:
    """Open a `.ckpt`, or a bundle's folder.

    Raises:
        CheckpointError: neither.
        BundleError: a bundle that cannot be served.
    """
    if path.is_dir():
        return BundleModel(path)
    if path.is_file():
        return CheckpointModel(path)
    raise CheckpointError(f"{path}: no such checkpoint or bundle")


def encode_all(model: StudiedModel, crops: NDArray[np.uint8], what: str) -> Encoding:
    """Encode (N, S, S, 3) uint8 in batches; (N, D) float32 each. Progress is logged as "encoding `what`"."""
    parts = []
    for start in range(0, len(crops), BATCH):
        parts.append(model.encode(crops[start : start + BATCH]))
        log_progress(log, f"encoding {what}", min(start + BATCH, len(crops)), len(crops))
    return Encoding(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("embedding", "mu", "logvar")))


def decode_all(model: StudiedModel, mu: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Decode (N, D) float32 in batches; (N, S, S, 3) uint8."""
    parts = []
    for start in range(0, len(mu), BATCH):
        parts.append(model.decode(mu[start : start + BATCH]))
        log_progress(log, "decoding", min(start + BATCH, len(mu)), len(mu))
    return np.concatenate(parts)
