"""The camera's pipeline."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from synth.arrays import Floats
from synth.camera.photograph import Settings, draw_settings, take

PLAIN = replace(
    draw_settings(np.random.default_rng(0), 100.0),
    defocus=0.0, motion=0.0, exposure=0.2, white_balance=np.ones(3), adaption=1.0, shot=0.0, read=0.0, gamma=1.0,
    contrast=0.0, lift=0.0, saturation=1.0, grey=False, sharpening=0.0, small=100.0, jpeg=96, second_jpeg=0,
    chroma_halved=False,
)  # fmt: skip
"""A camera without faults."""


def photographed(linear: Floats, settings: Settings, ear_px: float = 100.0) -> Floats:
    whole = (slice(0, linear.shape[0]), slice(0, linear.shape[1]))
    skin = np.ones(linear.shape[:2], bool)
    jpeg = take(linear, 2, whole, skin, np.ones(3), 0.0, ear_px, settings, np.random.default_rng(1))
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), float)


def edge() -> Floats:
    image = np.full((128, 192, 3), 0.1)
    image[:, 96:] = 0.3
    return image


def test_a_grey_wall_is_exposed_to_the_same_grey_whatever_its_light() -> None:
    dim, bright = (photographed(np.full((128, 192, 3), level), PLAIN) for level in (0.01, 5.0))
    assert dim.shape == (64, 96, 3)
    assert abs(dim.mean() - 124) < 3  # 0.2 linear is 124 in sRGB
    assert abs(bright.mean() - dim.mean()) < 1
    assert dim.std() < 1


def test_a_coloured_light_is_taken_away_by_full_adaption() -> None:
    whole = (slice(0, 64), slice(0, 64))
    tint = np.array([1.4, 1.0, 0.6])
    image = np.full((64, 64, 3), 0.2) * tint
    jpeg = take(image, 2, whole, np.ones((64, 64), bool), tint, 0.0, 50, PLAIN, np.random.default_rng(1))
    colour = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), float).mean((0, 1))
    assert np.ptp(colour) < 3


def test_sharpening_leaves_a_halo_and_defocus_softens() -> None:
    plain = photographed(edge(), PLAIN)[32, :, 1]
    sharp = photographed(edge(), replace(PLAIN, sharpening=1.5))[32, :, 1]
    soft = photographed(edge(), replace(PLAIN, defocus=2.0))[32, :, 1]
    assert sharp.max() > plain.max() + 5
    assert np.abs(np.diff(soft)).max() < 0.6 * np.abs(np.diff(plain)).max()


def test_a_small_picture_is_enlarged_to_the_same_size_with_less_detail() -> None:
    stripes = np.full((128, 192, 3), 0.1)
    stripes[:, ::8] = stripes[:, 1::8] = 0.6
    plain, small = photographed(stripes, PLAIN), photographed(stripes, replace(PLAIN, small=20.0))
    assert small.shape == plain.shape
    assert small.std() < 0.5 * plain.std()


def test_noise_and_settings_depend_on_the_generator_alone() -> None:
    settings = [draw_settings(np.random.default_rng(3), 100.0) for _ in range(2)]
    np.testing.assert_array_equal(photographed(edge(), settings[0]), photographed(edge(), settings[1]))
