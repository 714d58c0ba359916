"""The memory a step is expected to take, and the advice that follows."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.shapes import MICRO
from training.config import LossWeights, TrainConfig
from training.fit.memory import StepMemory, step_memory
from training.fit.summary import out_of_memory
from training.networks.vae import EarVAE


def _config(**changes):
    base = TrainConfig(Path("d"), Path("o"), model=MICRO, sam_weights=None, precision="32")
    return replace(base, **changes)


def test_fixed_part_is_weights_gradients_and_two_moments():
    count = EarVAE(MICRO).parameter_count()
    assert step_memory(_config()).fixed_bytes == 4 * count.total + 12 * count.trainable


def test_frozen_layers_views_and_precision_take_less():
    whole = step_memory(_config())
    frozen = step_memory(_config(model=replace(MICRO, freeze_layers=3), sam_weights="folder"))
    assert frozen.fixed_bytes < whole.fixed_bytes
    assert frozen.per_picture_bytes < whole.per_picture_bytes
    assert step_memory(_config(precision="bf16-mixed")).per_picture_bytes < whole.per_picture_bytes
    alone = step_memory(_config(losses=LossWeights(contrastive=0)))
    assert 0.4 * whole.per_picture_bytes < alone.per_picture_bytes < whole.per_picture_bytes


def test_larger_sam_input_takes_more_than_its_share():
    small, large = (
        step_memory(_config(model=replace(MICRO, sam=replace(MICRO.sam, image_size_px=px)))) for px in (32, 64)
    )
    assert large.per_picture_bytes > 2 * small.per_picture_bytes


def test_largest_batch_is_the_one_that_just_fits():
    memory = StepMemory(1000, 100)
    largest = memory.largest_batch(5000)
    assert memory.total_bytes(largest) <= 5000 < memory.total_bytes(largest + 1)
    assert memory.largest_batch(10) == 0


def test_advice_names_the_batch_that_fits_or_another_way():
    config = _config(batch_size=64)
    memory = step_memory(config)
    assert "--batch-size 10 should fit" in str(out_of_memory(config, memory.total_bytes(10) + 1))
    assert "--sam-size" in str(out_of_memory(config, 1000))
    assert "--batch-size 64" in str(out_of_memory(config, 1000))


@pytest.mark.parametrize("size", [224, 1024])
def test_estimate_of_the_teacher_takes_no_memory_of_its_own(size):
    from training.presets import preset

    config = TrainConfig(Path("d"), Path("o"), model=preset("teacher", sam_size_px=size), precision="16-mixed")
    assert 1e9 < step_memory(config).total_bytes(4) < 60e9
