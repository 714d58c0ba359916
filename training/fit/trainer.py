"""A whole training run: data, networks, weights, Lightning, and the files it leaves.

out/model.ckpt                          the best weights, what users and export open
out/checkpoints/last.ckpt               everything, for --resume
out/checkpoints/epoch=...-val_loss=...  the best three
out/logs/                               metrics.csv, hparams.yaml, TensorBoard events
out/reconstructions/                    a picture an epoch
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from common.machine import memory_bytes
from training.config import TrainConfig
from training.data.datamodule import EarDataModule
from training.data.dataset import to_unit
from training.data.prepare import Prepared, prepare
from training.errors import ConfigError
from training.fit.callbacks import Pictures, Progress, Projector, Say, Speed, StopAfter, TimeLimit, averaging
from training.fit.finish import MODEL_FILE, finish
from training.fit.module import EarModule
from training.fit.summary import announcement, out_of_memory
from training.networks.vae import EarVAE
from training.provenance import provenance
from training.weights import load_sam, load_vgg

START_PICTURES = 4000
"""Training pictures whose principal components the linear paths start from."""


def fit(config: TrainConfig, say: Say = print, make_module: Callable[..., EarModule] = EarModule) -> Path:
    """Train, and return the path of `model.ckpt`.

    Args:
        config: the run.
        say: told one line at a time what is going on, on the first device only.
        make_module: `EarModule`, or what takes its arguments and trains in another way (`training/distill.py`).

    Raises:
        TrainingError: a mistake in flags, data or weights, or too little memory.
    """
    say = rank_zero_only(say)
    config = replace(config, precision=resolve_precision(config.precision, config.accelerator))
    _check_out(config)
    lightning.seed_everything(config.seed, verbose=False)
    model, vgg = build_model(config), load_vgg(config.vgg_weights) if config.losses.perceptual > 0 else None
    prepared = prepare(config, _reader(say))
    for line in announcement(config, model, prepared):
        say(line)
    if config.resume is None:
        model.start_from_pictures(to_unit(prepared.train.dataset.images(0, START_PICTURES)))
    module = make_module(config, model, vgg, prepared.landmarks, provenance(config, prepared))
    data = EarDataModule(prepared, config.batch_size, config.per_identity, config.seed, config.num_workers)
    clock = TimeLimit(config.max_minutes)
    trainer = make_trainer(config, clock, say)
    for logger in trainer.loggers:
        logger.log_hyperparams({"model": config.model.to_dict(), **module.provenance["flags"]})
    with _plain_endings(config), quiet():
        trainer.fit(module, data, ckpt_path=config.resume, weights_only=True)
    if trainer.is_global_zero:
        _finish(trainer, module, prepared, clock, say)
    trainer.strategy.barrier("finish")
    return config.out / MODEL_FILE


def build_model(config: TrainConfig) -> EarVAE:
    """The networks, with SAM's weights where asked for.

    Raises:
        WeightsMissing: asked for, and not there.
    """
    model = EarVAE(config.model)
    if config.sam_weights is not None:
        load_sam(model.encoder.sam, config.sam_weights)
    for part in (model.encoder.blocks, model.decoder):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # what convolutions like best
    return model


def resolve_precision(wanted: str, accelerator: str = "auto") -> str:
    """What "auto" means on this machine: bfloat16 where the hardware computes in it, float16 on older GPUs, else 32.

    Raises:
        ConfigError: float16 on a CPU.
    """
    gpu = torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda")
    if wanted == "16-mixed" and not gpu:
        raise ConfigError("--precision 16-mixed: float16 needs a GPU; give bf16-mixed or 32")
    if wanted != "auto":
        return wanted
    if gpu:
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if _cpu_computes_bfloat16() else "32"


def _cpu_computes_bfloat16() -> bool:
    """Linux tells; elsewhere float32 is the safe answer."""
    facts = Path("/proc/cpuinfo")
    words = set(facts.read_text().split()) if facts.is_file() else set()
    return bool(words & {"amx_bf16", "avx512_bf16", "bf16"})


def make_trainer(config: TrainConfig, clock: TimeLimit, say: Say) -> lightning.Trainer:
    """Lightning's trainer, set up for the run."""
    speed = Speed()
    callbacks: list[Any] = [clock, speed, Progress(say, clock, speed), Pictures(config.out / "reconstructions")]
    callbacks += [Projector(), *_checkpoints(config.out / "checkpoints")]
    if config.stop_after_epochs is not None:
        callbacks.append(StopAfter(config.stop_after_epochs))
    if config.ema_decay:
        callbacks.append(averaging(config.ema_decay))
    one = 1 if config.fast_dev_run else None
    with quiet():
        return lightning.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=_strategy(config.strategy),
            precision=config.precision,  # type: ignore[arg-type]
            max_epochs=1 if config.fast_dev_run else config.epochs,
            limit_train_batches=one,
            limit_val_batches=one,
            gradient_clip_val=config.gradient_clip or None,
            sync_batchnorm=config.devices * config.num_nodes > 1 and torch.cuda.is_available(),
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,  # fewer would wait for the device too often
            logger=[
                CSVLogger(config.out / "logs", name="csv"),
                TensorBoardLogger(config.out / "logs", name="tensorboard", default_hp_metric=False),
            ],
            callbacks=callbacks,
            default_root_dir=config.out,
            enable_progress_bar=False,
            enable_model_summary=False,
        )


def _checkpoints(folder: Path) -> list[ModelCheckpoint]:
    """The best three by validation loss, and the last epoch. The metric has no slash: it is part of a file name."""
    best = ModelCheckpoint(
        folder, filename="{epoch:03d}-{val_loss:.4f}", monitor="val_loss", save_top_k=3, save_on_train_epoch_end=True
    )
    return [best, last_checkpoint(folder)]


def last_checkpoint(folder: Path) -> ModelCheckpoint:
    """Keeps `last.ckpt`, the last epoch, in `folder`."""
    last = ModelCheckpoint(folder, filename="last", monitor=None, save_on_train_epoch_end=True)
    last.CHECKPOINT_NAME_LAST = "last"
    last._enable_version_counter = False
    return last


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


def _reader(say: Say) -> Any:
    """Progress of reading pictures, a line at every tenth of them."""

    def tell(what: str, done: int, total: int) -> None:
        if done == total or done % max(total // 10, 500) == 0:
            say(f"{what}: {done}/{total}")

    return tell


def _finish(trainer: lightning.Trainer, module: EarModule, prepared: Prepared, clock: TimeLimit, say: Say) -> None:
    best, last = (callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint))
    chosen = Path(best.best_model_path or last.best_model_path)
    seconds = round(clock.elapsed_s, 1)
    say(f"trained for {seconds / 60:.1f} min; the best epoch is {chosen.name}")
    path = finish(chosen, module.run, prepared, trainer.strategy.root_device, seconds=seconds)
    say(f"model: {path}")


@contextmanager
def _plain_endings(config: TrainConfig) -> Iterator[None]:
    """Turn an allocator's failure into advice, and Lightning's exit after an interrupt back into one."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) and torch.cuda.is_available():
            raise out_of_memory(config, torch.cuda.get_device_properties(0).total_memory) from error
        if "DefaultCPUAllocator" in str(error):
            raise out_of_memory(config, memory_bytes()) from error
        raise
    except SystemExit:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back Lightning's remarks on what is chosen deliberately here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for remark in (
            ".*does not have many workers.*",
            ".*smaller than the logging interval.*",
            ".*modules in eval mode.*",  # the frozen prefix, and that is the point
            ".*Checkpoint directory .* exists and is not empty.*",
            ".*treespec, LeafSpec.*",
        ):
            warnings.filterwarnings("ignore", remark)
        yield
