"""A whole training run of the detector, and the files it leaves.

out/detector.ckpt                   the weights of the last epoch, what users and export open
out/checkpoints/last.ckpt           everything, for --resume
out/logs/csv, out/logs/tensorboard  version_0: metrics.csv, hparams.yaml; TensorBoard events
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch

from common.provenance import commit
from common.records.record import EarRecord
from training.checkpoint import read_raw
from training.detector.checkpoint import DetectorCheckpoint, write_detector
from training.detector.config import DetectorConfig, DetectorRun
from training.detector.detector import EarDetector
from training.detector.module import RUN_KEY, DetectorModule
from training.detector.sources import CENTRE, Sources, load_free, load_sources, some_subjects
from training.detector.steps import DetectorData, Steps
from training.errors import ConfigError, OutOfMemory
from training.fit.callbacks import last_checkpoint
from training.fit.session import (
    check_accelerator,
    log_on_first_device_only,
    make_trainer,
    plain_endings,
    quiet,
    resolve_precision,
)
from training.presets import preset
from training.provenance import subjects, versions

log = logging.getLogger(__name__)

DETECTOR_FILE = "detector.ckpt"
VAL_STEPS = 100
"""About so many steps lie between two validations, where an epoch is shorter."""
VAL_PHOTOS = 24
"""Validated then: enough to see it learn. `ear-teacher detector evaluate` uses all."""


def fit_detector(run: DetectorRun, shape: DetectorConfig | None = None) -> Path:
    """Train, and return the path of `detector.ckpt`. Progress is logged at INFO.

    Args:
        run: the flags.
        shape: another configuration of the heads than the teacher's default.

    Raises:
        TrainingError: a mistake in flags, data or checkpoint, or too little memory.
    """
    log_on_first_device_only()
    check_accelerator(run.accelerator)
    run = replace(run, precision=resolve_precision(run.precision, run.accelerator))
    resumed_step = _check_out(run)
    lightning.seed_everything(run.seed, verbose=False)
    sources = load_sources(run.data, val_fraction=run.val_fraction)
    train = some_subjects(sources.train, run.labels, run.seed)
    free, _ = load_free(run.negatives, run.val_fraction)
    detector = build(run, len(sources.landmark_names), shape)
    for part in (detector.blocks, detector.first, detector.second):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # what convolutions like best
    _announce(run, train, sources, detector)
    if free:
        log.info("%d training pictures without ears", len(free))
    steps = Steps(train, detector.config, run, free)
    module = DetectorModule(run, detector)
    data = DetectorData(steps, spread(sources.val, VAL_PHOTOS), detector.config.num_landmarks, run.num_workers)
    epochs = run.epochs if run.max_steps is None else -(-run.max_steps // len(steps))
    trainer, clock = make_trainer(
        run,
        _reported,
        [last_checkpoint(run.out / "checkpoints")],
        resumed_step,
        max_epochs=epochs,
        max_steps=-1 if run.max_steps is None else run.max_steps,
        check_val_every_n_epoch=min(max(VAL_STEPS // len(steps), 1), epochs),
        gradient_clip_val=run.gradient_clip or None,
        reload_dataloaders_every_n_epochs=1,  # an epoch's steps are its own
    )
    with plain_endings(_out_of_memory), quiet():
        for logger in trainer.loggers:
            logger.log_hyperparams(run.to_dict())
        trainer.fit(module, data, ckpt_path=run.resume, weights_only=True)
    if trainer.is_global_zero:
        _finish(run, detector, train, sources, trainer, clock.elapsed_s, len(free))
    return run.out / DETECTOR_FILE


def _check_out(run: DetectorRun) -> int | None:
    """The step that a resumed run goes on from."""
    if (run.out / DETECTOR_FILE).exists():
        raise ConfigError(f"--out {run.out}: holds a detector already; give another folder")
    if run.resume is None:
        return None
    content = read_raw(run.resume)
    if RUN_KEY not in content:
        raise ConfigError(f"--resume {run.resume}: not checkpoints/last.ckpt of a detector's run")
    changed = run.learns_like(json.loads(content[RUN_KEY]))
    if changed:
        raise ConfigError(f"--resume with other {', '.join(changed)}: give what the interrupted run was given")
    return int(content["global_step"])


def build(run: DetectorRun, landmarks: int, shape: DetectorConfig | None = None) -> EarDetector:
    """The networks of a run: on a teacher, or from random weights."""
    if run.teacher is not None:
        detector = EarDetector.from_vae_checkpoint(run.teacher, landmarks, run.freeze_encoder)
        if shape is not None:
            raise ConfigError("a shape of its own needs random weights")
        return detector
    if shape is None:
        model = replace(preset(run.preset), freeze_layers=0)
        shape = DetectorConfig(model, landmarks)
    return EarDetector(shape)


def _announce(run: DetectorRun, train: list[EarRecord], sources: Sources, detector: EarDetector) -> None:
    boxes_only = sources.landmark_names == (CENTRE,)
    landmarks = (
        "no landmarks: the box's centre stands for them" if boxes_only else f"{len(sources.landmark_names)} landmarks"
    )
    log.info(
        "%d training pictures of %d subjects, %d for validation, %s",
        len(train), subjects(train), len(sources.val), landmarks,
    )  # fmt: skip
    if sources.unusable:
        reasons = Counter(item.reason for item in sources.unusable)
        first = "; ".join(map(str, sources.unusable[:3]))
        log.info("left out: %d pictures that cannot be used (%s), the first: %s", len(sources.unusable),
                 ", ".join(f"{count} {reason}" for reason, count in reasons.items()), first)  # fmt: skip
    log.info(
        "%.2f M parameters, coarse stage at %d px, fine stage at %d px",
        sum(p.numel() for p in detector.parameters()) / 1e6, detector.config.coarse_px,
        detector.config.model.image_size_px,
    )  # fmt: skip


def _reported(metrics: dict[str, float]) -> str:
    texts = {"val_iou": "box IoU {:.3f}", "val_nme": "NME (median, of the box diagonal) {:.3f}"}
    return ", ".join(text.format(metrics[name]) for name, text in texts.items() if name in metrics)


def _out_of_memory(available_bytes: int) -> Exception:
    return OutOfMemory(
        f"out of memory with {available_bytes / 2**30:.1f} GiB: give fewer --crops-per-step or --scenes, or "
        "--freeze-encoder"
    )


def spread(records: list[EarRecord], count: int) -> list[EarRecord]:
    """At most `count` records from all over the list."""
    step = max(len(records) / count, 1.0)
    return [records[int(number * step)] for number in range(min(count, len(records)))]


def _finish(
    run: DetectorRun,
    detector: EarDetector,
    train: list[EarRecord],
    sources: Sources,
    trainer: lightning.Trainer,
    seconds: float,
    negatives: int,
) -> None:
    made: dict[str, Any] = {
        "train_pictures": len(train),
        "train_subjects": subjects(train),
        "train_negatives": negatives,
        "val_pictures": len(sources.val),
        "left_out": len(sources.unusable),
        "steps": trainer.global_step,
        "seconds": round(seconds, 1),
        "device": "gpu" if torch.cuda.is_available() and run.accelerator != "cpu" else "cpu",
        "flags": run.to_dict(),
        "git_commit": commit(),
        "versions": versions(),
    }
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name[:4] == "val_"}
    path = run.out / DETECTOR_FILE
    names = sources.landmark_names
    write_detector(path, DetectorCheckpoint(detector.config, detector.state_dict(), names, made, metrics))
    log.info("detector: %s", path)
