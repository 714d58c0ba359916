"""Large pictures at reduced scale, read row by row by libvips: memory for some rows instead of for every pixel.

JPEG and WebP are reduced while they are decoded, PNG and TIFF by box averages of what was decoded. Knows no limits and
no orientation; `bundle.photo` decides what is read this way.
"""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import Any

import numpy as np

from bundle.decoding import Picture
from bundle.errors import UndecodableImage

Window = tuple[int, int, int, int]
"""left, top, right, bottom in pixels of the reduced picture."""


def read_reduced(data: bytes, kind: str, factor: int, alpha_grey: int, window: Window) -> Picture:
    """(h, w, 3) uint8 RGB of a window, colours as in the file. kind: JPEG, PNG, WEBP or TIFF. factor: 1, 2, 4 or 8."""
    vips = _vips()
    left, top, right, bottom = window
    try:
        image = _reduced(vips, data, kind, factor, alpha_grey)
        window_image = image.crop(left, top, min(right, image.width) - left, min(bottom, image.height) - top)
        pixels: Picture = np.asarray(window_image.numpy(), np.uint8)
        return pixels
    except vips.Error as error:
        reason = (str(error).strip().splitlines() or ["damaged"])[-1].strip()
        raise UndecodableImage(f"the {kind} file cannot be decoded ({reason}); is it whole?") from error


def reduced_size(kind: str, width: int, height: int, factor: int) -> tuple[int, int]:
    """Size of the reduced picture: of WebP the nearest; a partial block at the edge is kept, but of JPEG left out."""
    if kind == "WEBP":
        return max(1, round(width / factor)), max(1, round(height / factor))
    if kind == "JPEG":
        return max(1, width // factor), max(1, height // factor)
    return -(-width // factor), -(-height // factor)


def _reduced(vips: Any, data: bytes, kind: str, factor: int, alpha_grey: int) -> Any:
    options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
    if kind == "JPEG":
        image = vips.Image.jpegload_buffer(data, shrink=factor, **options)
    elif kind == "WEBP":
        image = vips.Image.webpload_buffer(data, scale=1.0 / factor, **options)
    else:
        load = vips.Image.pngload_buffer if kind == "PNG" else vips.Image.tiffload_buffer
        image = load(data, **options)
    if image.interpretation != "srgb" or image.bands < 3:
        image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=[alpha_grey] * 3, max_alpha=255)
    return image.shrink(factor, factor, ceil=True) if factor > 1 and kind in ("PNG", "TIFF") else image


@functools.cache
def _vips() -> ModuleType:
    """The binding, set up once: one thread for each call (the caller has threads of its own), no results kept."""
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    import pyvips

    pyvips.cache_set_max(0)
    module: ModuleType = pyvips
    return module
