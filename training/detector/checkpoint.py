"""Checkpoints of the detector: tensors and plain values, its configuration and provenance as JSON text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.durable_files import replacing
from training.checkpoint import HEADER_KEY, read_raw
from training.detector.config import DetectorConfig
from training.errors import CheckpointError

DETECTOR_KEY = "ear_teacher_detector"
"""Entry of the file that holds the JSON header."""
PREFIX = "detector."
SCHEMA = 1


@dataclass(frozen=True)
class DetectorCheckpoint:
    """What a detector's checkpoint says, without its optimiser."""

    config: DetectorConfig
    state_dict: dict[str, Tensor]
    landmark_names: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


def write_detector(path: str | Path, checkpoint: DetectorCheckpoint) -> None:
    """Write weights and header: first beside `path`, then renamed over it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {
        "schema": SCHEMA,
        "config": checkpoint.config.to_dict(),
        "landmark_names": list(checkpoint.landmark_names),
        "provenance": checkpoint.provenance,
        "metrics": checkpoint.metrics,
    }
    tensors = {PREFIX + name: tensor.detach().cpu() for name, tensor in checkpoint.state_dict.items()}
    with replacing(path) as temporary:
        torch.save({DETECTOR_KEY: json.dumps(header, sort_keys=True), "state_dict": tensors}, temporary)


def read_detector(path: str | Path, map_location: str | torch.device = "cpu") -> DetectorCheckpoint:
    """Read `detector.ckpt`. Raises CheckpointError with what it is instead."""
    content = read_raw(path, map_location)
    if DETECTOR_KEY not in content:
        instead = "a teacher's: give it as --teacher" if HEADER_KEY in content else "not one of ear-teacher"
        raise CheckpointError(f"{path}: not a detector's checkpoint but {instead}")
    values = json.loads(content[DETECTOR_KEY])
    if values.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{path}: detector checkpoint schema {values.get('schema')!r}; this version reads {SCHEMA}"
        )
    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in content["state_dict"].items()}
    return DetectorCheckpoint(
        DetectorConfig.from_dict(values["config"]),
        tensors,
        tuple(values["landmark_names"]),
        values["provenance"],
        values["metrics"],
    )
