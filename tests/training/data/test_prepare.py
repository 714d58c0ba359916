"""From flags to two data sets."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.config import LossWeights
from training.data.augment import UNIFORMS
from training.data.dataset import to_pixels, to_unit
from training.data.order import Key
from training.data.prepare import prepare
from training.errors import DataError


def test_training_is_labelled_by_ear_and_validation_by_subject(micro_run):
    found = prepare(micro_run)
    assert len(np.unique(found.train.labels)) == 12  # six people, two ears
    assert len(np.unique(found.val.labels)) == 3
    people = prepare(replace(micro_run, identity="subject"))
    assert len(np.unique(people.train.labels)) == 6
    assert found.landmarks == 3
    assert found.held


def test_item_carries_pixels_labels_landmarks_and_dice(micro_run):
    dataset = prepare(micro_run).train.dataset
    item = dataset[Key(2, 5)]
    assert item.images.shape == (32, 32, 3)
    assert item.images.dtype == torch.uint8
    assert item.landmarks.shape == (3, 2)
    assert item.weights.shape == (3,)
    assert item.augment_params.shape == (2, UNIFORMS)
    assert int(item.indexes) == 5
    assert torch.equal(item.augment_params, dataset[Key(2, 5)].augment_params)
    assert not torch.equal(item.augment_params, dataset[Key(3, 5)].augment_params)
    assert not torch.equal(item.augment_params[0], item.augment_params[1])


def test_one_view_suffices_without_the_contrastive_term(micro_run):
    alone = replace(micro_run, losses=LossWeights(perceptual=0, contrastive=0))
    assert prepare(alone).train.dataset[Key(0, 0)].augment_params.shape[0] == 1
    assert prepare(micro_run).val.dataset[Key(0, 0)].augment_params.shape[0] == 0


def test_fingerprint_is_the_same_held_or_decoded(micro_run):
    decoded = prepare(replace(micro_run, hold_crops="no"))
    held = prepare(micro_run)
    assert decoded.sha256 == held.sha256
    assert not decoded.held
    assert torch.equal(decoded.train.dataset.images(0, 3), held.train.dataset.images(0, 3))


def test_pictures_that_all_fail_are_refused_even_when_skipping(micro_run, ears, tmp_path):
    copied = shutil.copytree(ears, tmp_path / "ears")
    for path in copied.glob("*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="none of the 24 train pictures"):
        prepare(replace(micro_run, data=copied, skip_unreadable=True))


def test_pixels_survive_the_way_to_floats_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3).contiguous()
    floats = to_unit(pixels)
    assert floats.shape == (1, 3, 16, 16)
    assert floats.min() == -1
    assert floats.max() == 1
    assert torch.equal(to_pixels(floats), pixels)
