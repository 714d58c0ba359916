"""Augmentation: a function of its parameters, with landmarks that follow."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from training.data.augment import UNIFORMS, AugmentStrength, augment, draw
from training.errors import ConfigError

NOTHING = AugmentStrength().scaled(0)


def _crops(batch=4, side=32):
    small = torch.rand(batch, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    return F.interpolate(small, size=side, mode="bilinear")


def _params(batch=4, epoch=0):
    return torch.from_numpy(np.stack([draw(0, epoch, index, 0) for index in range(batch)]))


def test_dice_depend_on_seed_epoch_index_and_view_alone():
    base = draw(1, 2, 3, 0)
    np.testing.assert_array_equal(base, draw(1, 2, 3, 0))
    for other in (draw(2, 2, 3, 0), draw(1, 3, 3, 0), draw(1, 2, 4, 0), draw(1, 2, 3, 1)):
        assert (base != other).any()
    assert base.shape == (UNIFORMS,)
    assert base.min() >= 0
    assert base.max() < 1


def test_view_does_not_depend_on_its_batch():
    images, params = _crops(), _params()
    together = augment(images, torch.zeros(4, 0, 2), params, AugmentStrength())
    alone = augment(images[2:3], torch.zeros(1, 0, 2), params[2:3], AugmentStrength())
    torch.testing.assert_close(together.input[2:3], alone.input, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.target[2:3], alone.target, atol=1e-5, rtol=0)


def test_strength_zero_changes_nothing():
    images = _crops()
    points = torch.rand(4, 3, 2)
    view = augment(images, points, _params(), NOTHING)
    torch.testing.assert_close(view.input, images, atol=1e-4, rtol=0)
    torch.testing.assert_close(view.target, images, atol=1e-4, rtol=0)
    torch.testing.assert_close(view.landmarks, points, atol=1e-4, rtol=0)


def test_views_stay_in_range_and_differ():
    first = augment(_crops(16), torch.zeros(16, 0, 2), _params(16), AugmentStrength())
    second = augment(_crops(16), torch.zeros(16, 0, 2), _params(16, epoch=1), AugmentStrength())
    for view in (first, second):
        assert view.input.abs().max() <= 1
        assert view.target.abs().max() <= 1
    assert (first.target - second.target).abs().mean() > 0.05


def test_target_has_neither_blur_nor_noise_nor_patches():
    strength = AugmentStrength(blur=1, noise=0.2, occlusion=1)
    clean = AugmentStrength(blur=0, noise=0, occlusion=0)
    spoiled = augment(_crops(), torch.zeros(4, 0, 2), _params(), strength)
    plain = augment(_crops(), torch.zeros(4, 0, 2), _params(), clean)
    torch.testing.assert_close(spoiled.target, plain.target)
    assert (spoiled.input - spoiled.target).abs().mean() > 0.02


def test_landmarks_move_with_the_picture():
    """A bright dot at a landmark must be found at the moved landmark."""
    side = 64
    axis = (torch.arange(side) + 0.5) / side
    points = 0.3 + 0.4 * torch.rand(8, 1, 2, generator=torch.Generator().manual_seed(1))
    spread = ((axis - points[..., :1]) ** 2)[:, :, None, :] + ((axis - points[..., 1:]) ** 2)[:, :, :, None]
    images = (torch.exp(-spread / (2 * 0.03**2)) * 2 - 1).expand(8, 3, side, side)
    only_moves = AugmentStrength(colour=0, light=0, grey=0, blur=0, noise=0, occlusion=0, warp=0.03, rotation_deg=20)
    view = augment(images, points, _params(8), only_moves)
    heat = (view.target[:, 0] + 1).clamp(min=0) ** 4
    heat = heat / heat.sum((1, 2), keepdim=True)
    found = torch.stack([(heat.sum(1) * axis).sum(1), (heat.sum(2) * axis).sum(1)], dim=1)
    assert (view.landmarks[:, 0] - points[:, 0]).abs().max() > 0.02
    torch.testing.assert_close(found, view.landmarks[:, 0], atol=0.01, rtol=0)


def test_scaled_strength_keeps_probabilities():
    assert AugmentStrength().scaled(10).occlusion == 0.9
    assert AugmentStrength().scaled(2).rotation_deg == 20


def test_negative_strength_is_refused():
    with pytest.raises(ConfigError, match="blur"):
        AugmentStrength(blur=-1)
