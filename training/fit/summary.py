"""What a run says before it starts: parameters, memory, pictures, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from training.config import TrainConfig
from training.data.prepare import Prepared
from training.errors import OutOfMemory
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
    wanted = memory.total_bytes(config.batch_size)
    line = f"about {wanted / 2**30:.1f} GiB expected for a batch of {config.batch_size}"
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        line += f" of {total / 2**30:.0f} GiB on the GPU (a batch of {memory.largest_batch(total)} would fit)"
    return line


def labels_line(config: TrainConfig, prepared: Prepared) -> str:
    """Which of the optional labels the data has, and so which terms act."""
    people = subjects(prepared.train.records)
    sides = sum(record.side is not None for record in prepared.train.records)
    known = f"{people} subjects" if people else "no subjects (only views of one picture attract)"
    points = f"{prepared.landmarks} landmarks" if prepared.landmarks else "no landmarks"
    return f"{known}, side known for {sides} of {len(prepared.train.records)} training pictures, {points}"


def _missing(config: TrainConfig) -> Iterator[str]:
    if config.sam_weights is None:
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
