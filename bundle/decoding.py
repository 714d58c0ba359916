"""Bytes -> upright RGB pixels, or an ImageError that says what was given and what is allowed.

Knows nothing of ears or boxes. Admits JPEG (MPO included), PNG, WebP, GIF, BMP and TIFF, told apart by their first
bytes, never by a file's name. The size is checked in the header, before any pixel is decoded.
ICC profiles are ignored: pixels are taken as sRGB.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from bundle.errors import ImageError, ImageTooLarge, ImageTooSmall, UndecodableImage

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF"
# The plugin classes are called directly: Image.open would warn about, or refuse, a large picture before its size can
# be told to the user, and it would try every format that Pillow knows.
MAGIC: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"GIF8", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\x00", TiffImageFile),
    (b"MM\x00*", TiffImageFile),
    (b"II+\x00", TiffImageFile),
    (b"MM\x00+", TiffImageFile),
)
MAX_SCANS, MAX_SEGMENTS = 100, 5_000
"""Of a JPEG. Progressive ones have about ten scans, each may be 14 bytes long and yet cost a pass over every pixel."""
NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in scan data \xff\x00 is a byte and \xff\xd0-\xd7 a restart
MUTED: dict[str, object] = {}  # our own entry among the warning filters
ORIENTATION = 0x0112  # EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageLimits:
    """What a posted picture may be."""

    max_bytes: int = 32 * 1024 * 1024
    """Size of the file, in bytes."""
    max_pixels: int = 64_000_000
    """Width x height, in pixels (a 50-megapixel phone picture passes)."""
    min_side_px: int = 16
    """Shorter side, in pixels."""


def decode(data: bytes, limits: ImageLimits = ImageLimits(), alpha_grey: int = 128) -> Picture:
    """Decode one picture: EXIF orientation applied, alpha laid over grey, every mode to RGB, first frame only.

    Returns (H, W, 3) uint8 RGB. Raises UndecodableImage, ImageTooLarge or ImageTooSmall, and nothing else.
    """
    _mute_pillow()
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"image is {len(data):,} bytes; at most {limits.max_bytes:,} are allowed")
    plugin = _plugin(data)
    name = plugin.format or "image"
    if plugin is JpegImageFile:
        _check_segments(data)
    try:
        with plugin(io.BytesIO(data)) as image:
            _check_size(name, image.size, limits)
            image.load()
            return np.array(_to_rgb(_upright(image), alpha_grey), dtype=np.uint8)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        claim = f"the {name} header claims more pixels than can be decoded safely"
        raise ImageTooLarge(f"{claim}; at most {limits.max_pixels:,} pixels are allowed") from error
    except Exception as error:  # Pillow's plugins raise nearly everything on damaged files
        raise UndecodableImage(f"the {name} file cannot be decoded ({_reason(error)}); is it whole?") from error


def read(path: str | Path, limits: ImageLimits = ImageLimits(), alpha_grey: int = 128) -> Picture:
    """Decode a file; the message of the ImageError begins with its path."""
    try:
        with open(path, "rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise UndecodableImage(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return decode(data, limits, alpha_grey)
    except ImageError as error:
        raise type(error)(f"{path}: {error}") from error


def _mute_pillow() -> None:
    """What Pillow warns about (damaged EXIF, odd palettes) is put right or refused here, so nobody is warned twice.

    Looked at for each picture: whoever sets filters in between would otherwise see warnings become errors.
    """
    if not warnings.filters or warnings.filters[0] is not MUTED.get("filter"):
        warnings.filterwarnings("ignore", module=r"PIL\.")
        MUTED["filter"] = warnings.filters[0]


def _plugin(data: bytes) -> type[ImageFile.ImageFile]:
    if not data:
        raise UndecodableImage(f"image is 0 bytes; send one of {FORMATS}")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile
    for magic, plugin in MAGIC:
        if data.startswith(magic):
            return plugin
    raise UndecodableImage(f"not a picture: the bytes begin with {bytes(data[:12])!r}; allowed are {FORMATS}")


def _check_size(name: str, size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageTooLarge(f"{name} of {width}x{height} px; at most {limits.max_pixels:,} pixels are allowed")
    if min(width, height) < limits.min_side_px:
        raise ImageTooSmall(f"{name} of {width}x{height} px; each side must have at least {limits.min_side_px} px")


def _check_segments(data: bytes) -> None:
    """Refuse a JPEG whose scans, or empty segments, would keep a thread busy for hours."""
    at, scans, segments = 2, 0, 0
    while (found := NEXT_MARKER.search(data, at)) is not None and data[found.end() - 1] != 0xD9:
        at, segments = found.end(), segments + 1
        if data[at - 1] not in (0x01, 0xD8):  # all others carry their length
            scans += data[at - 1] == 0xDA
            at += int.from_bytes(data[at : at + 2], "big")
        if scans > MAX_SCANS or segments > MAX_SEGMENTS:
            raise UndecodableImage(
                f"the JPEG has more than {MAX_SCANS} scans or {MAX_SEGMENTS} segments; save it again"
            )


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation. Damaged EXIF counts as none: the pixels are what was asked for."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # any damage: Pillow's EXIF reader has no error class of its own
        return image
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _to_rgb(image: Image.Image, alpha_grey: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        image = _eight_bit(image)
    elif image.mode in ("I", "F"):
        raise UndecodableImage(
            f"{image.format or 'image'} has 32-bit samples (mode {image.mode}); save it as 8 or 16 bits"
        )
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, (alpha_grey, alpha_grey, alpha_grey, 255))
    return Image.alpha_composite(ground, rgba).convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey -> 8-bit grey by its high byte, as Pillow does for 16-bit colour (`convert` would clip at 255)."""
    samples = np.asarray(image)
    grey = Image.fromarray((samples >> 8).astype(np.uint8))
    if "transparency" not in image.info:
        return grey
    alpha = np.where(samples == image.info["transparency"], 0, 255).astype(np.uint8)
    return Image.merge("LA", (grey, Image.fromarray(alpha)))


def _reason(error: Exception) -> str:
    text = str(error).splitlines()
    return text[0] if text and text[0] else type(error).__name__
