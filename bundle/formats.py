"""Which picture formats are read, told apart by a file's first bytes, never by its name.

Each format has one Pillow plugin, which is called directly: `Image.open` would try every format that Pillow knows, and
would warn about a large picture before its size can be answered. Decodes nothing.
"""

from __future__ import annotations

from PIL import ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from bundle.errors import UndecodableImage

Plugin = type[ImageFile.ImageFile]

FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC"
MAGIC: tuple[tuple[bytes, Plugin], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"GIF8", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\x00", TiffImageFile),
    (b"MM\x00*", TiffImageFile),
    (b"II+\x00", TiffImageFile),
    (b"MM\x00+", TiffImageFile),
)
JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
MOST_BRANDS = 16


def plugin_of(data: bytes) -> Plugin:
    """The plugin that reads this file. Raises UndecodableImage, which names the format and the cure where it is one."""
    if not data:
        raise UndecodableImage(f"image is 0 bytes; send one of {FORMATS}")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile
    for magic, plugin in MAGIC:
        if data.startswith(magic):
            return plugin
    if data.startswith(JPEG_XL):
        raise UndecodableImage("JPEG XL is not read; save the picture as JPEG, PNG or WebP")
    brands = _brands(data)
    if brands & AVIF_BRANDS:
        return _avif()
    if brands & HEIC_BRANDS:
        return _heic()
    raise UndecodableImage(f"not a picture: the bytes begin with {bytes(data[:12])!r}; allowed are {FORMATS}")


def _brands(data: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO media file (`ftyp` box); none of any other file."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4], "big"), 16 + 4 * MOST_BRANDS, len(data))
    return {bytes(data[8:12]), *(bytes(data[at : at + 4]) for at in range(16, end, 4))}


def _avif() -> Plugin:
    from PIL import features
    from PIL.AvifImagePlugin import AvifImageFile  # loads libavif: only where an AVIF came

    if not features.check("avif"):
        raise UndecodableImage("AVIF is not read by this installation's Pillow; save the picture as JPEG, PNG or WebP")
    return AvifImageFile


def _heic() -> Plugin:
    try:
        from pillow_heif import HeifImageFile
    except ModuleNotFoundError:
        raise UndecodableImage(
            "HEIC is not read by this installation: send JPEG (iPhone: Settings > Camera > Formats > Most Compatible), "
            "or install the service with ear-teacher[heif]"
        ) from None
    plugin: Plugin = HeifImageFile
    return plugin
