"""The end of a run: the best weights with their exact mean latent become `model.ckpt`, what users and export open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from measure.calibration import calibrate
from measure.errors import MeasureError
from measure.protocol import compare, evaluate
from training.checkpoint import read_checkpoint, write_checkpoint
from training.config import TrainConfig
from training.dataset import EarDataset, to_unit
from training.lda import fit_lda
from training.prepare import Prepared, label
from training.vae import EarVAE

MODEL_FILE = "model.ckpt"


def finish(best: Path, config: TrainConfig, prepared: Prepared, device: torch.device, **more: Any) -> Path:
    """Write `model.ckpt` beside `checkpoints/`: the weights of `best`, m exact, W fitted where that was asked for.

    Args:
        best: the checkpoint with the lowest validation loss.
        config: the run.
        prepared: its data.
        device: where to encode the training pictures.
        more: entries to add to the provenance.

    Returns:
        The path of the file.
    """
    checkpoint = read_checkpoint(best)
    model = EarVAE.load_from_checkpoint(best, device)
    mu = encode(model, prepared.train.dataset, config, limit=2 * config.batch_size if config.fast_dev_run else None)
    settle(model, mu, label(prepared.train.records, with_side=False)[: len(mu)], config)
    provenance = {**checkpoint.provenance, **more, "identity_head": config.identity_head}
    metrics = {**checkpoint.metrics, **_identity_metrics(model, prepared, config)}
    state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    path = config.out / MODEL_FILE
    write_checkpoint(path, replace(checkpoint, state_dict=state, provenance=provenance, metrics=metrics))
    return path


def settle(model: EarVAE, mu: Tensor, labels: NDArray[np.int64], config: TrainConfig) -> None:
    """Set the identity head's m, and W where it is to be fitted.

    Args:
        model: changed in place.
        mu: (N, D) float32, the training latents.
        labels: (N,) of subjects.
        config: says whether W was trained.
    """
    head = model.identity
    with torch.no_grad():
        head.mean.copy_(mu.mean(0))
        if config.identity_head == "fitted":
            head.weight.copy_(torch.from_numpy(fit_lda(mu.cpu().double().numpy(), labels)).float())


def _identity_metrics(model: EarVAE, prepared: Prepared, config: TrainConfig) -> dict[str, Any]:
    """What the settled head reaches on the validation subjects, and its calibration, where subjects are known."""
    mu = encode(model, prepared.val.dataset, config, limit=2 * config.batch_size if config.fast_dev_run else None)
    with torch.no_grad():
        embedding = model.identity(mu).cpu().numpy()
    labels = prepared.val.labels[: len(mu)].tolist()
    try:
        scores = evaluate(embedding, labels)
        pairs = compare(embedding, labels)
        found = calibrate(pairs.similarity[pairs.same], pairs.similarity[~pairs.same])
    except MeasureError:  # too few pictures of one subject
        return {}
    return {"val_rank1": scores.rank1, "val_eer": scores.eer, "calibration": found.to_dict()}


@torch.no_grad()
def encode(model: EarVAE, dataset: EarDataset, config: TrainConfig, limit: int | None = None) -> Tensor:
    """mu of the crops without augmentation, in order: (N, D) float32 on the model's device."""
    device = next(model.parameters()).device
    count = len(dataset) if limit is None else min(limit, len(dataset))
    size = max(config.batch_size, 16)
    found = []
    for start in range(0, count, size):
        images = to_unit(dataset.images(start, min(start + size, count)).to(device))
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16-mixed"):
            found.append(model.encoder(images)[0].float())
    return torch.cat(found)
