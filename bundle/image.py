"""The only decode, crop and resize code of the repository: training, parity and service all call it.

Pictures are `(H, W, 3) uint8 RGB`, crops `(S, S, 3) uint8 RGB`. Everything after the crop (normalisation, upsampling to
the encoder's size) is inside the exported graph and unknown here. `decode` and `read` live in `bundle.decoding`.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bundle.decoding import ImageLimits, Picture, decode, read
from bundle.errors import ContractError, ImageTooSmall
from bundle.framing import DEFAULT_FRAMING, Box, Framing, check_box, square
from bundle.photo import Part, PictureFile

__all__ = [
    "ImageLimits",
    "Picture",
    "decode",
    "frame",
    "mirror",
    "mirror_box",
    "read",
    "source_crop",
    "to_jpeg",
    "to_png",
]

MAX_ASPECT = 16
"""A square to frame may be at most this many times the picture's shorter side: the rest would be padding."""
SOURCE_MARGIN = 0.5
"""Kept around a box in a source crop, as a share of the box: room for a later framing."""


def frame(picture: Picture | Part, box: Box | None, framing: Framing = DEFAULT_FRAMING) -> Picture:
    """Crop an ear as the model wants it.

    picture: (H, W, 3) uint8 RGB, or the part of a large one that holds the square. box: x1, y1, x2, y2 in the pixels
    of the whole picture, or None for all of it.
    Returns (size_px, size_px, 3) uint8 RGB: the box plus its margin, made square around its centre, the picture taken
    as continued by its edge pixels, resized antialiased. Raises BadBox, or ImageTooSmall for a strip.
    """
    part = part_of(picture)
    x1, y1, x2, y2 = part.place(framed_square(part.width, part.height, box, framing))
    height, width = part.pixels.shape[:2]
    rows, columns = _Span.of(y1, y2, height, framing.size_px), _Span.of(x1, x2, width, framing.size_px)
    pixels = part.pixels[rows.inside, columns.inside]
    # The longer extent first: the intermediate is then hardly larger than the picture, however narrow that is.
    for axis, span in ((1, columns), (0, rows)) if part.width >= part.height else ((0, rows), (1, columns)):
        pixels = _resample(pixels, axis, span, framing.size_px)
    return np.array(pixels)


def framed_square(width: int, height: int, box: Box | None, framing: Framing = DEFAULT_FRAMING) -> Box:
    """The square that `frame` takes out of a picture of that size. Raises BadBox, or ImageTooSmall for a strip."""
    x1, y1, x2, y2 = square(None if box is None else check_box(box, width, height), width, height, framing.margin)
    if x2 - x1 > MAX_ASPECT * min(width, height):
        raise ImageTooSmall(
            f"the square to frame is {x2 - x1:.0f} px wide, over {MAX_ASPECT} times the shorter side of the picture "
            f"({width}x{height} px); crop the picture, or give an ear box"
        )
    return x1, y1, x2, y2


@dataclass(frozen=True)
class _Span:
    """One axis of the square and the pixels around it that antialiasing needs."""

    inside: slice
    """Pixels of the picture that are read."""
    pads: tuple[int, int]
    """Edge pixels to repeat before and after them."""
    start: float
    stop: float
    """The square's edges, counted from the first of the read and repeated pixels."""

    @classmethod
    def of(cls, start: float, stop: float, length: int, size: int) -> _Span:
        support = 2.0 * max(1.0, (stop - start) / size)  # bicubic reaches two (scaled) pixels to each side
        first, last = math.floor(start - support), math.ceil(stop + support)
        pads = (max(-first, 0), max(last - length, 0))
        return cls(slice(max(first, 0), min(last, length)), pads, start - first, stop - first)


def _resample(picture: Picture, axis: int, span: _Span, size: int) -> Picture:
    """Resize one axis of the square to `size` pixels and leave the other as it is."""
    if any(span.pads):
        pads = [(0, 0), (0, 0), (0, 0)]
        pads[axis] = span.pads
        picture = np.pad(picture, pads, mode="edge")
    image = Image.fromarray(np.ascontiguousarray(picture))
    width, height = (size, image.height) if axis == 1 else (image.width, size)
    left, right = (span.start, span.stop) if axis == 1 else (0.0, float(width))
    top, bottom = (span.start, span.stop) if axis == 0 else (0.0, float(height))
    window = (left, top, right, bottom)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=window))


def mirror(crop: Picture) -> Picture:
    """Flip left and right, (H, W, 3) uint8: a right ear becomes a left one, and back."""
    return np.ascontiguousarray(crop[:, ::-1])


def mirror_box(box: Box, width: int) -> Box:
    """The box in the mirrored picture of `width` pixels."""
    x1, y1, x2, y2 = box
    return (width - x2, y1, width - x1, y2)


def turn(picture: Picture, turns: int) -> Picture:
    """Turn (H, W, 3) uint8 by quarter turns anticlockwise."""
    return np.ascontiguousarray(np.rot90(picture, turns))


def turn_box(box: Box, turns: int, width: int, height: int) -> Box:
    """The box in the picture of `width` x `height` pixels after quarter turns anticlockwise."""
    for _ in range(turns % 4):
        x1, y1, x2, y2 = box
        box, width, height = (y1, width - x2, y2, width - x1), height, width
    return box


def source_window(width: int, height: int, box: Box | None) -> tuple[int, int, int, int]:
    """What a source crop shows of a picture of that size: the ear with half a box of surroundings. Raises BadBox."""
    if box is None:
        return 0, 0, width, height
    x1, y1, x2, y2 = check_box(box, width, height)
    reach = SOURCE_MARGIN * max(x2 - x1, y2 - y1)
    left, top = max(0, math.floor(x1 - reach)), max(0, math.floor(y1 - reach))
    return left, top, min(width, math.ceil(x2 + reach)), min(height, math.ceil(y2 + reach))


def source_crop(picture: Picture | Part, box: Box | None, max_side_px: int = 512) -> tuple[Picture, Box | None]:
    """What a gallery keeps: the ear with half a box of surroundings, at most `max_side_px` long, and its box in that.

    A later framing can be computed from it. Nothing is padded; a picture within the limit keeps its own pixels.
    """
    part = part_of(picture)
    height, width = part.pixels.shape[:2]
    x1, y1, x2, y2 = part.place(source_window(part.width, part.height, box))
    left, top = max(0, math.floor(x1)), max(0, math.floor(y1))
    crop = np.ascontiguousarray(part.pixels[top : min(height, math.ceil(y2)), left : min(width, math.ceil(x2))])
    shrunk = _shrink(crop, max_side_px)
    if box is None:
        return shrunk, None
    scale_x, scale_y = shrunk.shape[1] / crop.shape[1], shrunk.shape[0] / crop.shape[0]
    x1, y1, x2, y2 = part.place(box)
    return shrunk, ((x1 - left) * scale_x, (y1 - top) * scale_y, (x2 - left) * scale_x, (y2 - top) * scale_y)


def part_for(file: PictureFile, box: Box | None, framing: Framing) -> Part:
    """The part of a picture from which its ear's crop and stored crop are made, no larger than they need."""
    square = framed_square(file.width, file.height, box, framing)
    side = square[2] - square[0]
    reach = 3.0 * max(1.0, side / framing.size_px)  # what antialiasing reads around the square
    window = source_window(file.width, file.height, box)
    needed = (
        min(window[0], square[0] - reach),
        min(window[1], square[1] - reach),
        max(window[2], square[2] + reach),
        max(window[3], square[3] + reach),
    )
    return file.part(needed, file.factor_for(side, framing.size_px))


def part_of(picture: Picture | Part) -> Part:
    """A picture as a part of itself. Raises ContractError for what is no picture."""
    if isinstance(picture, Part):
        return picture
    _check_picture(picture)
    return Part.whole(picture)


def _shrink(picture: Picture, max_side_px: int) -> Picture:
    height, width = picture.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1.0:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def to_png(picture: Picture) -> bytes:
    """Encode (H, W, 3) uint8 RGB without loss."""
    return _encode(picture, "PNG", optimize=False, compress_level=4)


def to_jpeg(picture: Picture, quality: int = 92) -> bytes:
    """Encode (H, W, 3) uint8 RGB; quality 1 to 95. Chroma is not subsampled: skin and edges keep their colour."""
    return _encode(picture, "JPEG", quality=quality, subsampling=0)


def _encode(picture: Picture, kind: str, **options: int | bool) -> bytes:
    _check_picture(picture)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, kind, **options)
    return buffer.getvalue()


def _check_picture(picture: Picture) -> tuple[int, int]:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
        raise ContractError(f"a picture is (H, W, 3) uint8 RGB; given {picture.shape} {picture.dtype}")
    return picture.shape[0], picture.shape[1]
