"""A whole training run: data, networks, weights, Lightning, and the files it leaves.

out/model.ckpt                          the best weights, what users and export open
out/checkpoints/last.ckpt               everything, for --resume
out/checkpoints/epoch=...-val_loss=...  the best three
out/logs/csv, out/logs/tensorboard      version_0: metrics.csv, hparams.yaml; TensorBoard events
out/split.csv                           who trained and who validated
out/reconstructions/                    a picture an epoch
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from training.checkpoint import read_checkpoint, read_raw, read_trained_on
from training.config import TrainConfig
from training.data.datamodule import EarDataModule
from training.data.dataset import to_unit
from training.data.prepare import Prepared, prepare, write_split
from training.embedding.carried import carried_branch
from training.errors import ConfigError
from training.fit.callbacks import (
    Pictures,
    Projector,
    StopAfter,
    TimeLimit,
    averaging,
    best_checkpoints,
    last_checkpoint,
)
from training.fit.finish import MODEL_FILE, finish
from training.fit.module import EarModule
from training.fit.session import (
    check_accelerator,
    log_on_first_device_only,
    make_trainer,
    plain_endings,
    quiet,
    resolve_precision,
)
from training.fit.summary import announcement, check_data, check_disk, check_labels, out_of_memory
from training.init_from import load_networks, settle_batch_norms
from training.losses.perceptual import Vgg16Features
from training.networks.vae import EarVAE
from training.provenance import provenance
from training.weights import load_sam, vgg_weights

log = logging.getLogger(__name__)

START_PICTURES = 4000
"""Training pictures whose principal components the linear paths start from."""
SETTLE_PICTURES = 256
"""Training pictures on which batch norms of a bundle's networks are measured anew."""
REPORTED = {"val_loss": "loss {:.3f}", "val_psnr": "PSNR {:.2f} dB", "val_ssim": "SSIM {:.3f}",
            "val_rank1": "rank-1 {:.3f}", "val_eer": "EER {:.3f}"}  # fmt: skip
"""Metrics that a line of progress names."""


def fit(config: TrainConfig) -> Path:
    """Train, and return the path of `model.ckpt`. Progress is logged at INFO.

    Raises:
        TrainingError: a mistake in flags, data or weights, or too little memory or disk.
    """
    log_on_first_device_only()
    check_accelerator(config.accelerator)
    check_data(config)
    config = replace(
        config, precision=resolve_precision(config.precision, config.accelerator), data=config.data.absolute()
    )
    _check_out(config)
    lightning.seed_everything(config.seed, verbose=False)
    model, started = build_model(config)
    vgg = _vgg(config)
    prepared = prepare(config)
    resumed_step = None if config.resume is None else _check_resumed(config, prepared)
    for line in announcement(config, model, prepared):
        log.info(line)
    check_labels(config, prepared)
    check_disk(config, model)
    write_split(config.out, prepared)
    _start(model, config, prepared)
    module = EarModule(config, model, vgg, prepared.landmarks, {**provenance(config, prepared), **started})
    module.trained_on, module.branch = _trained_on(config, prepared), _branch(config)
    data = EarDataModule(prepared, config.batch_size, config.per_identity, config.seed, config.num_workers)
    trainer, clock = ear_trainer(config, resumed_step)
    with plain_endings(partial(out_of_memory, config)), quiet():
        for logger in trainer.loggers:
            logger.log_hyperparams(config.to_dict(reproducible=True))
        trainer.fit(module, data, ckpt_path=config.resume, weights_only=True)
    if trainer.is_global_zero:
        _finish(trainer, module, prepared, clock)
    trainer.strategy.barrier("finish")
    return config.out / MODEL_FILE


def build_model(config: TrainConfig) -> tuple[EarVAE, dict[str, Any]]:
    """The networks with the weights they start from, and what provenance says of those.

    A resumed run takes its weights from its checkpoint, and needs none of the files it started from.

    Raises:
        WeightsMissing, CheckpointError: asked for, and not there or not fit.
    """
    model, started = EarVAE(config.model), {}
    if config.resume is not None:
        started = {name: value for name, value in read_checkpoint(config.resume).provenance.items()
                   if name in ("init_from", "sam")}  # fmt: skip
    elif config.init_from is not None:
        started = {"init_from": load_networks(model, config.init_from)}
        log.info("weights: networks of %s", config.init_from)
    elif config.sam_weights is not None:
        loaded = load_sam(model.encoder.sam, config.sam_weights)
        started = {"sam": {"sha256": loaded.sha256, "contents": loaded.contents}}
        log.info("weights: SAM from %s", loaded)
    for part in (model.encoder.blocks, model.decoder):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # what convolutions like best
    if config.compile:
        for network in (model.encoder.sam, model.encoder.blocks, model.decoder):
            network.compile(dynamic=False)
    return model, started


def _vgg(config: TrainConfig) -> Vgg16Features | None:
    if config.losses.perceptual == 0:
        return None
    features, loaded = vgg_weights(config.vgg_weights)
    log.info("weights: VGG16 from %s", loaded)
    return features.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _start(model: EarVAE, config: TrainConfig, prepared: Prepared) -> None:
    """What is fitted to the pictures in closed form before the first step."""
    if config.resume is not None:
        return
    if config.init_from is None:
        model.start_from_pictures(to_unit(prepared.train.dataset.images(0, START_PICTURES)))
    elif config.init_from.is_dir():
        settle_batch_norms(model, to_unit(prepared.train.dataset.images(0, SETTLE_PICTURES)))


def ear_trainer(config: TrainConfig, resumed_step: int | None = None) -> tuple[lightning.Trainer, TimeLimit]:
    """Lightning's trainer for a run, and its clock."""
    folder = config.out / "checkpoints"
    callbacks: list[Any] = [Pictures(config.out / "reconstructions"), Projector()]
    callbacks += [best_checkpoints(folder), last_checkpoint(folder)]
    if config.stop_after_epochs is not None:
        callbacks.append(StopAfter(config.stop_after_epochs))
    if config.ema_decay:
        callbacks.append(averaging(config.ema_decay))
    batches = 1 if config.fast_dev_run else None
    return make_trainer(
        config,
        _reported,
        callbacks,
        resumed_step,
        num_nodes=config.num_nodes,
        strategy=_strategy(config.strategy),
        max_epochs=1 if config.fast_dev_run else config.epochs,
        limit_train_batches=batches,
        limit_val_batches=batches,
        gradient_clip_val=config.gradient_clip or None,
        sync_batchnorm=config.devices * config.num_nodes > 1 and torch.cuda.is_available(),
    )


def _reported(metrics: dict[str, float]) -> str:
    return ", ".join(text.format(metrics[name]) for name, text in REPORTED.items() if name in metrics)


def _strategy(name: str) -> Any:
    if name == "fsdp":
        from lightning.pytorch.strategies import FSDPStrategy

        return FSDPStrategy(state_dict_type="full")  # one file, readable without the other devices
    return name


def _check_out(config: TrainConfig) -> None:
    if config.resume is None and (config.out / "checkpoints").is_dir() and any((config.out / "checkpoints").iterdir()):
        raise ConfigError(
            f"--out {config.out}: holds a run already; give another folder, or continue it with "
            f"--resume {config.out / 'checkpoints' / 'last.ckpt'}"
        )


def _check_resumed(config: TrainConfig, prepared: Prepared) -> int:
    """The step that the run goes on from; raises ConfigError where its pictures are others."""
    assert config.resume is not None
    made = read_checkpoint(config.resume).provenance
    if made.get("data_sha256") != prepared.sha256:
        raise ConfigError(
            f"--resume {config.resume}: the pictures of {config.data} are not those that the run was trained on "
            f"(data_sha256 {str(made.get('data_sha256')):.12}... then, {prepared.sha256:.12}... now; "
            f"{made.get('train_pictures')} training pictures then, {len(prepared.train.records)} now). Give --data "
            f"where they are, or begin a run on these with --init-from {config.resume} --out FOLDER"
        )
    content = read_raw(config.resume)
    if content["epoch"] + 1 >= config.epochs:
        log.info("all %d epochs of the run are done; give more --epochs to train on", config.epochs)
    return int(content["global_step"])


def _trained_on(config: TrainConfig, prepared: Prepared) -> dict[str, Any]:
    """What checkpoints say of whom they were trained on, those included whom the networks started from knew."""
    if config.resume is not None:
        return read_checkpoint(config.resume).trained_on
    if config.init_from is None:
        return prepared.trained_on.to_dict()
    return prepared.trained_on.after(read_trained_on(config.init_from)).to_dict()


def _branch(config: TrainConfig) -> dict[str, Any] | None:
    """The aligned embedding of what the run starts from, or goes on from: training leaves it as it is."""
    source = config.resume or config.init_from
    branch = None if source is None else carried_branch(source)
    if branch is not None:
        log.info("embedding: the aligned branch of %s goes into the new model as it is; `ear-teacher embedding fit` on "
                 "the exported bundle adapts it to your people", source)  # fmt: skip
    return branch


def _finish(trainer: lightning.Trainer, module: EarModule, prepared: Prepared, clock: TimeLimit) -> None:
    best, last = (callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint))
    chosen = Path(best.best_model_path or last.best_model_path)
    seconds = round(clock.elapsed_s, 1)
    log.info("trained for %.1f min; the best epoch is %s", seconds / 60, chosen.name)
    path = finish(chosen, module.run, prepared, trainer.strategy.root_device, seconds=seconds)
    log.info("model: %s", path)
