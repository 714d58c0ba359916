"""Tiles of a photo: where they lie, and that no ear is lost between them."""

import numpy as np
import pytest

from bundle.landmarks import LETTERBOX_PX
from bundle.photo import Part
from serve.inference.tiles import TILED_PIXELS, is_cut, tiles_of


def photo(width, height, scale=1.0):
    """All of a photo, of which every `scale`th pixel was read."""
    pixels = np.zeros((height, width, 3), np.uint8)
    return Part(pixels, round(width * scale), round(height * scale), scale_x=scale, scale_y=scale)


@pytest.mark.parametrize("size", [(640, 480), (300, 640)])
def test_a_photo_no_larger_than_the_detectors_square_has_no_tiles(size):
    assert list(tiles_of(photo(*size))) == []


@pytest.mark.parametrize("size", [(4000, 3000), (641, 640), (2000, 500), (1999, 3001)])
def test_every_ear_lies_wholly_in_a_tile_in_which_it_is_large(size):
    whole = photo(*size)
    tiles = list(tiles_of(whole))
    generator = np.random.default_rng(0)
    for height in (20, 60, 150, 400):
        for x, y in generator.uniform(0, np.maximum(np.array(size) - height, 1), (20, 2)).tolist():
            box = (x, y, min(x + height, size[0]), min(y + height, size[1]))
            shares = [
                height / max(tile.pixels.shape[:2]) for tile in tiles if not is_cut(box, tile) and holds(tile, box)
            ]
            largest = max([*shares, height / max(size)])
            assert largest * LETTERBOX_PX >= min(height, 60), (height, box)


def holds(tile, box):
    x1, y1, x2, y2 = tile.place(box)
    return x1 >= 0 and y1 >= 0 and x2 <= tile.pixels.shape[1] and y2 <= tile.pixels.shape[0]


@pytest.mark.parametrize("size", [(4096, 4096), (4000, 3000), (16384, 1024)])
def test_tiles_are_few_and_copy_no_pixels(size):
    whole = photo(*size)
    tiles = list(tiles_of(whole))
    assert len(tiles) <= 110
    assert all(tile.pixels.base is whole.pixels for tile in tiles)
    assert size[0] * size[1] <= TILED_PIXELS


def test_tiles_of_a_photo_that_was_read_at_reduced_scale_lie_in_its_own_pixels():
    tiles = list(tiles_of(photo(1280, 640, scale=2.0)))
    assert tiles[0].left == tiles[0].top == 0
    last = tiles[-1]
    assert (last.left + last.pixels.shape[1] * 2, last.top + last.pixels.shape[0] * 2) == (2560, 1280)


def test_an_ear_at_a_tiles_edge_is_cut_unless_the_photo_ends_there():
    first = next(tiles_of(photo(1600, 640)))
    side = first.pixels.shape[1]
    assert is_cut((side - 50, 100, side - 1, 200), first)
    assert not is_cut((0, 0, 60, 90), first)
    assert not is_cut((100, 100, 160, 190), first)
