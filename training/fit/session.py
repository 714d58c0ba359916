"""What every training run shares, the teacher's and the detector's: machine, Lightning's trainer, logs, endings.

Knows neither networks nor data.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from common.machine import memory_bytes
from training.errors import ConfigError
from training.fit.callbacks import TimeLimit
from training.fit.logs import make_loggers
from training.fit.progress import Summary, progress_callbacks

TERMINATED = 128 + 15
"""Exit status of a process that SIGTERM ended."""


class Run(Protocol):
    """What a configuration says of the machine and of the run's folder."""

    @property
    def out(self) -> Path: ...
    @property
    def accelerator(self) -> str: ...
    @property
    def devices(self) -> int: ...
    @property
    def precision(self) -> str: ...
    @property
    def max_minutes(self) -> float | None: ...


def check_accelerator(accelerator: str) -> None:
    """Raises ConfigError where a GPU is asked for and none can be used."""
    if accelerator == "gpu" and not torch.cuda.is_available():
        why = "no CUDA device is visible" if torch.version.cuda else "this torch is built without CUDA"
        raise ConfigError(f"--accelerator gpu: {why}; give --accelerator cpu (or auto), or see `ear-teacher check`")


def resolve_precision(precision: str, accelerator: str = "auto") -> str:
    """What "auto" means on this machine: bfloat16 where the hardware computes in it, float16 on older GPUs, else 32.

    Raises:
        ConfigError: float16 on a CPU.
    """
    gpu = torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda")
    if precision == "16-mixed" and not gpu:
        raise ConfigError("--precision 16-mixed: float16 needs a GPU; give bf16-mixed or 32")
    if precision != "auto":
        return precision
    if gpu:
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if _cpu_computes_bfloat16() else "32"


def _cpu_computes_bfloat16() -> bool:
    """Linux tells; elsewhere float32 is the safe answer."""
    facts = Path("/proc/cpuinfo")
    words = set(facts.read_text().split()) if facts.is_file() else set()
    return bool(words & {"amx_bf16", "avx512_bf16", "bf16"})


def log_on_first_device_only() -> None:
    """Let the other processes of a run with several devices say only what is wrong."""
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        logging.getLogger("training").setLevel(logging.WARNING)


def make_trainer(
    run: Run, summary: Summary, callbacks: list[Any], resumed_step: int | None = None, **options: Any
) -> tuple[lightning.Trainer, TimeLimit]:
    """Lightning's trainer, and the clock that ends it.

    Args:
        run: the machine, the folder and the time limit.
        summary: a validation in words.
        callbacks: beside time limit and progress, in the order in which they act.
        resumed_step: of the checkpoint that is resumed.
        options: what differs between runs, as `lightning.Trainer` takes it.
    """
    clock = TimeLimit(run.max_minutes)
    shown = progress_callbacks(clock, summary)
    with quiet():
        trainer = lightning.Trainer(
            accelerator=run.accelerator,
            devices=run.devices,
            precision=run.precision,  # type: ignore[arg-type]
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,  # fewer would wait for the device too often
            logger=make_loggers(run.out / "logs", resumed_step),
            callbacks=[clock, *shown, *callbacks],
            default_root_dir=run.out,
            enable_progress_bar=any(hasattr(callback, "disable") for callback in shown),
            enable_model_summary=False,
            **options,
        )
    return trainer, clock


@contextmanager
def plain_endings(out_of_memory: Callable[[int], Exception]) -> Iterator[None]:
    """Turn an allocator's failure into advice, and Lightning's exit after an interrupt back into one.

    Args:
        out_of_memory: makes the advice, of the bytes there are.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) and torch.cuda.is_available():
            raise out_of_memory(torch.cuda.get_device_properties(0).total_memory) from error
        if "DefaultCPUAllocator" in str(error):
            raise out_of_memory(memory_bytes()) from error
        raise
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None
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
            ".*in eval mode at the start.*",  # the frozen prefix, and that is the point
            ".*Checkpoint directory .* exists and is not empty.*",
            ".*Experiment logs directory .* exists and is not empty.*",
            ".*The dirpath has changed from.*",
            ".*treespec, LeafSpec.*",
        ):
            warnings.filterwarnings("ignore", remark)
        yield
