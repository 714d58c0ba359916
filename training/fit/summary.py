"""What a run says before it starts (parameters, memory, disk, pictures, what is missing) and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from training.config import TrainConfig
from training.data.prepare import Prepared
from training.errors import ConfigError, DataError, OutOfMemory
from training.fit.memory import StepMemory, step_memory
from training.networks.vae import EarVAE
from training.provenance import subjects


def announcement(config: TrainConfig, model: EarVAE, prepared: Prepared) -> Iterator[str]:
    """The lines, in order."""
    count = model.parameter_count()
    shape = config.model
    yield (
        f"preset {shape.preset}: {count.total / 1e6:.1f} M parameters, {count.trainable / 1e6:.1f} M trainable, "
        f"{count.frozen / 1e6:.1f} M frozen; SAM input {shape.sam.image_size_px} px, latent {shape.latent_dim}-D"
    )
    yield f"memory: {memory_line(step_memory(config), config)}, precision {config.precision}"
    yield f"disk: {disk_line(config, model)}"
    world = config.devices * config.num_nodes
    steps = max(len(prepared.train.records) // (config.batch_size * world), 1)
    yield (
        f"data: {len(prepared.train.records)} training and {len(prepared.val.records)} validation pictures "
        f"({prepared.split}); {steps} steps of {config.batch_size * world} pictures in each of {config.epochs} epochs"
    )
    yield f"labels: {labels_line(config, prepared)}"
    if prepared.refused:
        yield f"left out: {len(prepared.refused)} pictures that cannot be used, the first: {prepared.refused[0]}"
    yield from _missing(config)


def memory_line(memory: StepMemory, config: TrainConfig) -> str:
    """What a step is expected to take, beside what the device has."""
    needed_bytes = memory.total_bytes(config.batch_size)
    line = f"about {needed_bytes / 2**30:.1f} GiB expected for a batch of {config.batch_size}"
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        line += f" of {total / 2**30:.0f} GiB on the GPU (a batch of {memory.largest_batch(total)} would fit)"
    return line


def labels_line(config: TrainConfig, prepared: Prepared) -> str:
    """Which of the optional labels the data has, and so which terms act."""
    people = subjects(prepared.train.records)
    sides = sum(record.side is not None for record in prepared.train.records)
    counted = f"{people} subjects" if people else "no subjects (only views of one picture attract)"
    points = f"{prepared.landmarks} landmarks" if prepared.landmarks else "no landmarks"
    return f"{counted}, side known for {sides} of {len(prepared.train.records)} training pictures, {points}"


def check_data(config: TrainConfig) -> None:
    """Raises DataError where `--data` or `--val` is not there: before anything is built."""
    for name, path in (("--data", config.data), ("--val", config.val)):
        if path is not None and not path.exists():
            hint = f"; the run to resume had it there: give {name} where it is now" if config.resume else ""
            raise DataError(f"{name} {path}: no such file or folder{hint}")


def check_labels(config: TrainConfig, prepared: Prepared) -> None:
    """Raises ConfigError where a term has a weight and the data nothing for it."""
    for name in ("landmark", "keypoint"):
        if getattr(config.losses, name) > 0 and not prepared.landmarks:
            raise ConfigError(
                f"--{name}-weight {getattr(config.losses, name):g}: the data has no landmarks (columns <name>_x, "
                "<name>_y, or 'landmarks' in a teacher file); leave the flag out"
            )


def checkpoint_bytes(model: EarVAE) -> int:
    """Size of `last.ckpt`: float32 weights, and Adam's two moments of those that learn."""
    count = model.parameter_count()
    return 4 * count.total + 8 * count.trainable


def disk_bytes(model: EarVAE) -> int:
    """The best three checkpoints, the last, one that is being written, and `model.ckpt`."""
    return 5 * checkpoint_bytes(model) + 4 * model.parameter_count().total


def disk_line(config: TrainConfig, model: EarVAE) -> str:
    """What the run's folder will take, beside what there is."""
    needed, free = disk_bytes(model) / 1e9, _free_bytes(config.out) / 1e9
    each = checkpoint_bytes(model) / 1e9
    return f"{each:.2g} GB a checkpoint, up to {needed:.2g} GB in {config.out} ({free:.0f} GB free)"


def check_disk(config: TrainConfig, model: EarVAE) -> None:
    """Raises ConfigError where the checkpoints do not fit beside what the disk holds."""
    needed, free = disk_bytes(model), _free_bytes(config.out)
    if free < needed and config.resume is None:
        raise ConfigError(
            f"--out {config.out}: the run's checkpoints take up to {needed / 1e9:.2g} GB, and {free / 1e9:.2g} GB are "
            "free there; give a folder on a larger disk"
        )


def _free_bytes(folder: Path) -> int:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _missing(config: TrainConfig) -> Iterator[str]:
    if config.sam_weights is None and config.init_from is None and config.resume is None:
        yield "weights: SAM starts from RANDOM weights, nothing pretrained"
    if config.losses.perceptual == 0:
        yield "weights: no perceptual term (--perceptual-weight 0), VGG16 is not used"


def out_of_memory(config: TrainConfig, available_bytes: int) -> OutOfMemory:
    """The advice to give instead of a traceback."""
    fits = min(step_memory(config).largest_batch(available_bytes), config.batch_size - 1)
    if fits >= 1:
        advice = f"--batch-size {fits} should fit"
    else:
        advice = "no batch fits; a smaller --sam-size (448, 224) or more --freeze-layers takes far less"
    return OutOfMemory(
        f"out of memory at --batch-size {config.batch_size} with {available_bytes / 2**30:.1f} GiB and precision "
        f"{config.precision}: {advice}"
    )
