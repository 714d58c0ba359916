"""Crops against brute force: pad, cut, resize."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bundle.decoding import decode
from bundle.errors import BadBox, ContractError, ImageTooSmall
from bundle.framing import DEFAULT_FRAMING, Framing
from bundle.image import frame, mirror, mirror_box, source_crop, to_jpeg, to_png, turn, turn_box
from tests.bundle.pictures import scene


def reference(picture: np.ndarray, box, framing: Framing = DEFAULT_FRAMING) -> np.ndarray:
    """The rule by brute force: pad a lot with edge pixels, cut the square, resize in one go."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = box or (0, 0, width, height)
    half = max(x2 - x1, y2 - y1) * (1 + (2 * framing.margin if box else 0)) / 2
    pad = 3 * max(height, width)
    image = Image.fromarray(np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    centre_x, centre_y = (x1 + x2) / 2 + pad, (y1 + y2) / 2 + pad
    window = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
    return np.asarray(image.resize((framing.size_px, framing.size_px), Image.Resampling.BICUBIC, box=window))


@pytest.mark.parametrize(
    "box",
    [
        None,
        (20, 10, 60, 50),
        (3.5, 2.25, 40.75, 61),
        (-10, -8, 40, 50),
        (70, 30, 110, 80),
        (0, 0, 96, 64),
        (40, 5, 44, 60),
    ],
)
@pytest.mark.parametrize("size", [(96, 64), (64, 96), (400, 300)])
def test_framing_is_the_edge_padded_square_resized(box, size: tuple[int, int]) -> None:
    picture = scene(*size)
    if box and size[0] < size[1]:
        box = tuple(np.asarray(box)[[1, 0, 3, 2]])
    crop = frame(picture, box)
    assert crop.shape == (128, 128, 3)
    assert crop.dtype == np.uint8
    assert crop.flags.writeable
    difference = np.abs(crop.astype(int) - reference(picture, box))
    # For upright pictures the two passes of the resampling run in the other order and round differently.
    assert difference.max() <= (1 if size[0] > size[1] else 2)
    assert difference.mean() < 0.1


def test_a_square_picture_of_the_right_size_is_unchanged() -> None:
    picture = scene(128, 128)
    assert (frame(picture, None) == picture).all()


def test_without_a_box_edges_are_repeated() -> None:
    crop = frame(scene(128, 64), None)
    assert (crop[:28] == crop[0]).all()
    assert (crop[100:] == crop[127]).all()


def test_downscaling_is_antialiased() -> None:
    checks = (np.indices((1024, 1024)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop = frame(np.repeat(checks[..., None], 3, axis=2), None)
    assert crop.std() < 2
    assert abs(crop.mean() - 127.5) < 2


def test_framing_commutes_with_mirroring() -> None:
    picture, box = scene(200, 150), (31.0, 12.5, 77.0, 90.0)
    direct = mirror(frame(picture, box))
    other = frame(mirror(picture), mirror_box(box, 200))
    assert np.abs(direct.astype(int) - other).max() <= 1


def test_mirroring_twice_is_nothing() -> None:
    assert (mirror(mirror(scene())) == scene()).all()
    assert mirror_box(mirror_box((1, 2, 30, 40), 96), 96) == (1, 2, 30, 40)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5])
def test_a_box_turns_with_its_picture(turns: int) -> None:
    picture = np.zeros((30, 50, 3), np.uint8)
    picture[4:9, 20:45] = 255
    rows, columns = np.nonzero(turn(picture, turns)[..., 0])
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert turn_box((20, 4, 45, 9), turns, 50, 30) == box


def test_a_strip_is_refused_and_a_long_picture_with_a_box_is_not() -> None:
    with pytest.raises(ImageTooSmall, match="2000x20 px.*give an ear box"):
        frame(scene(2000, 20), None)
    assert frame(scene(2000, 60), (500, 10, 540, 50)).shape == (128, 128, 3)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.floats(-300, 300), st.floats(-300, 300), st.floats(-300, 600), st.floats(-300, 600)),
    st.integers(16, 90),
    st.integers(16, 90),
)
def test_any_box_gives_a_crop_or_a_named_error(box, width: int, height: int) -> None:
    with contextlib.suppress(BadBox, ImageTooSmall):
        assert frame(scene(width, height), box).shape == (128, 128, 3)


def test_what_is_no_picture_is_a_contract_error() -> None:
    wrong: Any
    for wrong in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(ContractError, match="uint8 RGB; given"):
            frame(wrong, None)


def test_a_source_crop_keeps_pixels_surroundings_and_the_place_of_the_ear() -> None:
    picture, box = scene(400, 300), (100.0, 80.0, 160.0, 180.0)
    crop, moved = source_crop(picture, box)
    assert crop.shape == (200, 160, 3)
    assert moved == (50.0, 50.0, 110.0, 150.0)
    assert (crop == picture[30:230, 50:210]).all()
    assert np.abs(frame(crop, moved).astype(int) - frame(picture, box)).max() <= 1


def test_a_large_source_crop_is_shrunk_and_frames_nearly_the_same() -> None:
    picture, box = scene(1200, 900), (200.0, 100.0, 700.0, 800.0)
    crop, moved = source_crop(picture, box, max_side_px=512)
    assert max(crop.shape) == 512
    assert moved is not None
    assert np.abs(frame(crop, moved).astype(int) - frame(picture, box)).mean() < 1.0


def test_a_source_crop_without_a_box_is_the_whole_picture() -> None:
    crop, box = source_crop(scene(1024, 256), None)
    assert crop.shape == (128, 512, 3)
    assert box is None


def test_png_is_lossless_and_jpeg_is_close() -> None:
    assert (decode(to_png(scene())) == scene()).all()
    assert np.abs(decode(to_jpeg(scene())).astype(int) - scene()).mean() < 2
