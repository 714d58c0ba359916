"""Bytes -> upright RGB pixels, or an ImageError that says what was given and what is allowed.

Knows nothing of ears or boxes. The size is checked in the header, before any pixel is decoded. Decodes whole pictures
with Pillow; `bundle.photo` reads large ones at reduced scale.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from bundle.colour import MODES, to_srgb
from bundle.errors import ImageError, ImageTooLarge, ImageTooSmall, UndecodableImage
from bundle.formats import plugin_of
from bundle.jpeg import JpegLayout, layout_of, with_end_marker

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""
ResultT = TypeVar("ResultT")

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
    """Decode one picture: EXIF orientation applied, colours to sRGB, alpha laid over grey, first frame only.

    Returns (H, W, 3) uint8 RGB. Raises UndecodableImage, ImageTooLarge or ImageTooSmall, and nothing else.
    """

    def whole(data: bytes) -> Picture:
        with opened(data, limits) as (image, _):
            image.load()
            return np.array(_to_rgb(_upright(image), alpha_grey), dtype=np.uint8)

    return ended(data, whole)


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


@contextmanager
def opened(data: bytes, limits: ImageLimits) -> Iterator[tuple[ImageFile.ImageFile, JpegLayout | None]]:
    """An image whose header was read and whose size is allowed, and a JPEG's layout.

    What fails inside is raised as an ImageError.
    """
    _mute_pillow()
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"image is {len(data):,} bytes; at most {limits.max_bytes:,} are allowed")
    plugin = plugin_of(data)
    name = plugin.format or "image"
    layout = layout_of(data) if plugin is JpegImageFile else None  # before Pillow walks through its segments
    try:
        with plugin(io.BytesIO(data)) as image:
            _check_size(name, image.size, limits)
            yield image, layout
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        claim = f"the {name} header claims more pixels than can be decoded safely"
        raise ImageTooLarge(f"{claim}; at most {limits.max_pixels:,} pixels are allowed") from error
    except Exception as error:  # Pillow's plugins raise nearly everything on damaged files
        raise UndecodableImage(f"the {name} file cannot be decoded ({_reason(error)}); is it whole?") from error


def ended(data: bytes, job: Callable[[bytes], ResultT]) -> ResultT:
    """Decode with `job`; a JPEG that lacks nothing but its end marker gets one."""
    try:
        return job(data)
    except UndecodableImage:
        whole = with_end_marker(data) if data.startswith(b"\xff\xd8\xff") else None
        if whole is None:
            raise
    return job(whole)


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8. Damaged EXIF counts as none: the pixels are what was asked for."""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # any damage: Pillow's EXIF reader has no error class of its own
        return 1
    return int(orientation) if orientation in UPRIGHT else 1


def png_exif(data: bytes) -> bytes | None:
    """The EXIF block of a PNG, which may stand before or behind its pixels; None where it has none."""
    at = 8 if b"eXIf" in data else len(data)
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"eXIf":
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return None


def _mute_pillow() -> None:
    """What Pillow warns about (damaged EXIF, odd palettes) is put right or refused here, so nobody is warned twice.

    Looked at for each picture: filters set in between would otherwise turn warnings into errors.
    """
    if not warnings.filters or warnings.filters[0] is not MUTED.get("filter"):
        warnings.filterwarnings("ignore", module=r"PIL\.")
        MUTED["filter"] = warnings.filters[0]


def _check_size(name: str, size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageTooLarge(f"{name} of {width}x{height} px; at most {limits.max_pixels:,} pixels are allowed")
    if min(width, height) < limits.min_side_px:
        raise ImageTooSmall(f"{name} of {width}x{height} px; each side must have at least {limits.min_side_px} px")


def _upright(image: Image.Image) -> Image.Image:
    orientation = orientation_of(image)
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _to_rgb(image: Image.Image, alpha_grey: int) -> Image.Image:
    profile: bytes | None = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = _eight_bit(image)
    elif image.mode in ("I", "F"):
        raise UndecodableImage(
            f"{image.format or 'image'} has 32-bit samples (mode {image.mode}); save it as 8 or 16 bits"
        )
    if not image.has_transparency_data:
        return to_srgb(image if image.mode in MODES else image.convert("RGB"), profile)
    rgba = image.convert("RGBA")
    if profile:
        alpha = rgba.getchannel("A")
        rgba = to_srgb(rgba.convert("RGB"), profile)
        rgba.putalpha(alpha)
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
