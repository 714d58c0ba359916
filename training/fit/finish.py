"""The end of a run: the best weights with their exact mean latent become `model.ckpt`, what users and export open."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from measure.calibration import calibrate, set_in_words
from measure.errors import MeasureError
from measure.protocol import compare, evaluate
from training.checkpoint import read_checkpoint, write_checkpoint
from training.config import TrainConfig
from training.data.augment import AugmentStrength, augment, draw
from training.data.dataset import EarDataset, to_unit
from training.data.prepare import Prepared, label
from training.data.trained_on import TrainedOn, exposure
from training.embedding.branch import EarBranch, unpack_branch
from training.networks.lda import fit_lda
from training.networks.vae import EarVAE

log = logging.getLogger(__name__)

MODEL_FILE = "model.ckpt"
BRANCH_BATCH = 64
FIT_VIEWS = 4
"""Augmented views of each picture that a fitted W is taught by where no subject is known."""


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
    mu = encode(model, prepared.train.dataset, config, limit=_limit(config))
    settle(model, mu, _evidence(model, mu, prepared, config) if config.identity_head == "fitted" else None)
    provenance = {**checkpoint.provenance, **more, "identity_head": config.identity_head}
    branch = None if checkpoint.branch is None else unpack_branch(checkpoint.branch, best).branch
    metrics = {**checkpoint.metrics, **_identity_metrics(model, branch, prepared, config, checkpoint.trained_on)}
    state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    path = config.out / MODEL_FILE
    write_checkpoint(path, replace(checkpoint, state_dict=state, provenance=provenance, metrics=metrics))
    return path


def settle(model: EarVAE, mu: Tensor, evidence: tuple[Tensor, NDArray[np.int64]] | None = None) -> None:
    """Set the identity head's m, and W where there is evidence to fit it to.

    Args:
        model: changed in place.
        mu: (N, D) float32, the training latents.
        evidence: latents (M, D) float32 and labels (M,), equal for what should be near; None: W stays.
    """
    head = model.identity
    with torch.no_grad():
        head.mean.copy_(mu.mean(0))
        if evidence is not None:
            head.weight.copy_(torch.from_numpy(fit_lda(evidence[0].cpu().double().numpy(), evidence[1])).float())


def _evidence(model: EarVAE, mu: Tensor, prepared: Prepared, config: TrainConfig) -> tuple[Tensor, NDArray[np.int64]]:
    """Pictures of the same subjects; where no subject has two, views of the same pictures."""
    labels = label(prepared.train.records, with_side=False)[: len(mu)]
    if (np.unique(labels, return_counts=True)[1] > 1).sum() > 1:
        return mu, labels
    numbers = np.arange(len(mu))
    views = [encode(model, prepared.train.dataset, config, limit=len(mu), view=view) for view in range(FIT_VIEWS)]
    return torch.cat([mu, *views]), np.tile(numbers, FIT_VIEWS + 1)


def _limit(config: TrainConfig) -> int | None:
    return 2 * config.batch_size if config.fast_dev_run else None


def _identity_metrics(
    model: EarVAE, branch: EarBranch | None, prepared: Prepared, config: TrainConfig, trained_on: dict[str, Any]
) -> dict[str, Any]:
    """What the settled head, or the branch in its place, reaches on the validation subjects, where subjects are known.

    Those whom the networks that the run started from were trained on are left out; a calibration is made only where it
    is known who they are.
    """
    mu = encode(model, prepared.val.dataset, config, limit=_limit(config))
    held = exposure(TrainedOn.from_dict(trained_on), prepared.val.records[: len(mu)], prepared.val.digests[: len(mu)])
    kept = np.array(held.held_out)
    embedding = _embedding(model, branch, mu, prepared)[kept]
    labels = prepared.val.labels[: len(mu)][kept].tolist()
    try:
        scores = evaluate(embedding, labels)
        pairs = compare(embedding, labels)
        fit = calibrate(
            pairs.similarity[pairs.same],
            pairs.similarity[~pairs.same],
            calibrated_on=set_in_words(f"validation part of {config.data.resolve().name}", labels),
        )
    except MeasureError:  # too few pictures of one subject
        return {}
    figures = {"val_rank1": scores.rank1, "val_eer": scores.eer, "validated_on": held.sentence}
    if not held.trustworthy:
        log.info("no calibration is kept: %s", held.sentence)
        return figures
    people = {"pictures": len(labels), "subjects": len(set(labels)), "trained_on": held.sentence}
    return {**figures, "calibration": fit.to_dict(), "calibrated_on": people}


@torch.no_grad()
def _embedding(model: EarVAE, branch: EarBranch | None, mu: Tensor, prepared: Prepared) -> NDArray[np.float32]:
    """Of the first validation pictures, whose latents are `mu`: (N, D) float32 of unit length."""
    if branch is None:
        return np.asarray(model.identity(mu).cpu().numpy())
    starts = range(0, len(mu), BRANCH_BATCH)
    parts = [branch(prepared.val.dataset.images(start, min(start + BRANCH_BATCH, len(mu)))) for start in starts]
    return np.asarray(torch.cat(parts).numpy())


@torch.no_grad()
def encode(
    model: EarVAE, dataset: EarDataset, config: TrainConfig, limit: int | None = None, view: int | None = None
) -> Tensor:
    """mu of the crops, in order: (N, D) float32 on the model's device.

    Args:
        limit: only so many crops.
        view: the number of an augmented view to encode; None: the crops as they are.
    """
    device = next(model.parameters()).device
    count = len(dataset) if limit is None else min(limit, len(dataset))
    size = max(config.batch_size, 16)
    strength = AugmentStrength().scaled(config.augment)
    latents = []
    for start in range(0, count, size):
        items = range(start, min(start + size, count))
        images = to_unit(dataset.images(items.start, items.stop).to(device))
        if view is not None:
            drawn = np.array([draw(config.seed, config.epochs, item, view) for item in items])
            images = augment(
                images, images.new_zeros(len(items), 0, 2), torch.from_numpy(drawn).to(device), strength
            ).input
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16-mixed"):
            latents.append(model.encoder(images)[0].float())
    return torch.cat(latents)
