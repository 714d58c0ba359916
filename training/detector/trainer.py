"""A whole training run of the detector, and the files it leaves.

out/detector.ckpt          the weights of the last epoch, what users and export open
out/checkpoints/last.ckpt  everything, for --resume
out/logs/                  metrics.csv, hparams.yaml, TensorBoard events
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from common.provenance import commit
from training.checkpoint import read_raw
from training.data.records import EarRecord
from training.detector.checkpoint import DetectorCheckpoint, write_detector
from training.detector.config import DetectorConfig, DetectorRun
from training.detector.detector import EarDetector
from training.detector.module import RUN_KEY, DetectorModule
from training.detector.sources import Sources, load_sources, some_subjects
from training.detector.steps import DetectorData, Steps
from training.errors import ConfigError
from training.fit.trainer import last_checkpoint, quiet, resolve_precision
from training.presets import preset
from training.provenance import subjects, versions

DETECTOR_FILE = "detector.ckpt"
VAL_STEPS = 100
"""About so many steps lie between two validations, where an epoch is shorter."""
VAL_PHOTOS = 24
"""Looked at then: enough to see it learn. `ear-teacher detector evaluate` looks at all."""
Say = Callable[[str], None]


def fit_detector(run: DetectorRun, say: Say = print, shape: DetectorConfig | None = None) -> Path:
    """Train, and return the path of `detector.ckpt`.

    Args:
        run: the flags.
        say: told a line at a time.
        shape: another configuration of the heads than the teacher's default.

    Raises:
        TrainingError: a mistake in flags, data or checkpoint.
    """
    say = rank_zero_only(say)
    run = replace(run, precision=resolve_precision(run.precision, run.accelerator))
    path = run.out / DETECTOR_FILE
    _check_out(run)
    lightning.seed_everything(run.seed, verbose=False)
    sources = load_sources(run.data, val_fraction=run.val_fraction)
    train = some_subjects(sources.train, run.labels, run.seed)
    detector = build(run, len(sources.landmark_names), shape)
    for part in (detector.blocks, detector.first, detector.second):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # what convolutions like best
    say(f"{len(train)} training pictures of {subjects(train)} subjects, {len(sources.val)} for validation, "
        f"{len(sources.landmark_names)} landmarks")  # fmt: skip
    say(f"{sum(p.numel() for p in detector.parameters()) / 1e6:.2f} M parameters, first look at "
        f"{detector.config.look_px} px, second at {detector.config.model.image_size_px} px")  # fmt: skip
    steps = Steps(train, detector.config, run)
    module = DetectorModule(run, detector)
    data = DetectorData(steps, spread(sources.val, VAL_PHOTOS), detector.config.num_landmarks, run.num_workers)
    trainer = make_trainer(run, say, len(steps))
    for logger in trainer.loggers:
        logger.log_hyperparams(run.to_dict())
    with quiet():
        trainer.fit(module, data, ckpt_path=run.resume, weights_only=True)
    if trainer.is_global_zero:
        made = _provenance(run, train, sources, trainer, module.elapsed_s)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name[:4] == "val_"}
        state = detector.state_dict()
        write_detector(path, DetectorCheckpoint(detector.config, state, sources.landmark_names, made, metrics))
        say(f"detector: {path}")
    return path


def _check_out(run: DetectorRun) -> None:
    if (run.out / DETECTOR_FILE).exists():
        raise ConfigError(f"--out {run.out}: holds a detector already; give another folder")
    if run.resume is None:
        return
    content = read_raw(run.resume)
    if RUN_KEY not in content:
        raise ConfigError(f"--resume {run.resume}: not checkpoints/last.ckpt of a detector's run")
    changed = run.learns_like(json.loads(content[RUN_KEY]))
    if changed:
        raise ConfigError(f"--resume with other {', '.join(changed)}: give what the interrupted run was given")


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


def make_trainer(run: DetectorRun, say: Say, steps: int) -> lightning.Trainer:
    """Lightning's trainer, set up for a run with so many steps an epoch."""
    epochs = run.epochs if run.max_steps is None else -(-run.max_steps // steps)
    with quiet():
        return lightning.Trainer(
            accelerator=run.accelerator,
            devices=run.devices,
            precision=run.precision,  # type: ignore[arg-type]
            max_epochs=epochs,
            max_steps=-1 if run.max_steps is None else run.max_steps,
            check_val_every_n_epoch=min(max(VAL_STEPS // steps, 1), epochs),
            gradient_clip_val=None if run.gradient_clip == 0 else run.gradient_clip,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,  # an epoch's steps are its own
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            logger=[
                CSVLogger(run.out / "logs", name="csv"),
                TensorBoardLogger(run.out / "logs", name="tensorboard", default_hp_metric=False),
            ],
            callbacks=[Tell(say), last_checkpoint(run.out / "checkpoints")],
            default_root_dir=run.out,
            enable_progress_bar=False,
            enable_model_summary=False,
        )


class Tell(lightning.Callback):
    """A line every ten seconds and one an epoch."""

    def __init__(self, say: Say, every_s: float = 10.0) -> None:
        self._say, self._every_s, self._next_s = say, every_s, 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if time.monotonic() >= self._next_s and isinstance(pl_module, DetectorModule):
            self._next_s = time.monotonic() + self._every_s
            self._say(f"  step {trainer.global_step}: loss {float(outputs['loss']):.3f}, {pl_module.progress:.0%} done")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        found = trainer.callback_metrics
        if "val_nme" in found:
            self._say(
                f"epoch {trainer.current_epoch + 1}: validation NME (median, of the box diagonal) "
                f"{float(found['val_nme']):.3f}, box IoU {float(found['val_iou']):.3f}"
            )


def spread(records: list[EarRecord], count: int) -> list[EarRecord]:
    """At most `count` records from all over the list."""
    step = max(len(records) / count, 1.0)
    return [records[int(number * step)] for number in range(min(count, len(records)))]


def _provenance(
    run: DetectorRun, train: list[EarRecord], sources: Sources, trainer: lightning.Trainer, seconds: float
) -> dict[str, Any]:
    return {
        "train_pictures": len(train),
        "train_subjects": subjects(train),
        "val_pictures": len(sources.val),
        "steps": trainer.global_step,
        "seconds": round(seconds, 1),
        "device": "gpu" if torch.cuda.is_available() and run.accelerator != "cpu" else "cpu",
        "flags": run.to_dict(),
        "git_commit": commit(),
        "versions": versions(),
    }
