"""Checkpoints: a torch file of tensors and plain values, whose configuration and provenance travel as JSON text.

Reads with `weights_only=True`, so that opening a stranger's checkpoint executes nothing. Knows neither the trainer nor
the networks.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.durable_files import replacing
from training.data import trained_on
from training.data.trained_on import TrainedOn
from training.errors import CheckpointError
from training.model_config import ModelConfig

HEADER_KEY = "ear_teacher"
"""Entry of the file that holds the JSON header: schema, config, provenance, metrics."""
BRANCH_KEY = "embedding_branch"
"""Entry of the file that holds the aligned embedding, where there is one."""
MODEL_PREFIX = "model."
"""Prefix of the networks' tensors in `state_dict`; the trainer's own tensors carry none of it."""
SCHEMA = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says, without its optimiser."""

    config: ModelConfig
    state_dict: dict[str, Tensor]
    """Tensors of `EarVAE`, named as in `EarVAE(config).state_dict()`."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """How it was made: data hash, git commit, versions, seed, seconds, flags."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """What it reached on validation data, by name."""
    trained_on: dict[str, Any] = field(default_factory=dict)
    """Whom it was trained on, as `training.data.trained_on.TrainedOn.to_dict`; empty where that is not known."""
    branch: dict[str, Any] | None = None
    """The aligned embedding in the identity head's place, as `training.embedding.branch.pack_branch` packs it."""


def header(
    config: ModelConfig,
    provenance: dict[str, Any],
    metrics: dict[str, Any],
    trained_on: dict[str, Any] | None = None,
) -> str:
    """The JSON text stored under `HEADER_KEY`."""
    values = {"config": config.to_dict(), "provenance": provenance, "metrics": metrics, "trained_on": trained_on or {}}
    return json.dumps({"schema": SCHEMA, **values}, sort_keys=True)


def write_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write weights and header, without any optimiser state: first beside `path`, then renamed over it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        HEADER_KEY: header(checkpoint.config, checkpoint.provenance, checkpoint.metrics, checkpoint.trained_on),
        "state_dict": {MODEL_PREFIX + name: tensor for name, tensor in checkpoint.state_dict.items()},
    }
    if checkpoint.branch is not None:
        content[BRANCH_KEY] = checkpoint.branch
    with replacing(path) as temporary:
        torch.save(content, temporary)


def read_checkpoint(path: str | Path, map_location: str | torch.device = "cpu") -> Checkpoint:
    """Read any checkpoint this project writes: `last.ckpt`, the best ones, or the final `model.ckpt`.

    Raises:
        CheckpointError: the file is missing, is no torch file, holds more than tensors and plain values, or was not
            written by this project.
    """
    content = read_raw(path, map_location)
    try:
        values = json.loads(content[HEADER_KEY])
    except (KeyError, TypeError, json.JSONDecodeError):
        raise CheckpointError(f"{path}: not a checkpoint of ear-teacher (it has no {HEADER_KEY!r} entry)") from None
    if values.get("schema") != SCHEMA:
        raise CheckpointError(f"{path}: checkpoint schema {values.get('schema')!r}; this version reads {SCHEMA}")
    tensors = {
        name.removeprefix(MODEL_PREFIX): tensor
        for name, tensor in content["state_dict"].items()
        if name.startswith(MODEL_PREFIX)
    }
    return Checkpoint(
        ModelConfig.from_dict(values["config"]),
        tensors,
        values["provenance"],
        values["metrics"],
        values.get("trained_on", {}),
        content.get(BRANCH_KEY),
    )


def read_trained_on(model: Path) -> TrainedOn | None:
    """Whom the model of a checkpoint, or of a bundle's folder, was trained on; None where it does not say."""
    if not model.is_dir():
        return TrainedOn.from_dict(read_checkpoint(model).trained_on)
    said = model / trained_on.FILE
    return TrainedOn.from_dict(json.loads(said.read_text(encoding="utf-8"))) if said.is_file() else None


def read_raw(path: str | Path, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """The whole content of a checkpoint file, trainer's state included; tensors and plain values only."""
    content = read_torch(path, map_location)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise CheckpointError(f"{path}: not a checkpoint of ear-teacher (it has no 'state_dict')")
    return content


def read_torch(path: str | Path, map_location: str | torch.device = "cpu") -> Any:
    """What `torch.save` wrote, where that is tensors and plain values; else CheckpointError."""
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: cannot be read as a checkpoint of tensors and plain values: {reason}") from None
