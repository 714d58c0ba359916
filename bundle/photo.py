"""A picture file whose header was read: what decoding it takes, and parts of it at the scale that is needed.

Pictures up to `EXACT_PIXELS` are decoded whole by Pillow, with the same pixels as `bundle.decoding.decode`. Larger ones
are read at 1/2, 1/4 or 1/8 where the crop that is asked for is still made from `OVERSAMPLING` times its resolution: it
then differs by about a grey level on average (docs/benchmarks.md), which is within one space as JPEG's own loss is, and
no full-size copy is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from bundle.colour import to_srgb
from bundle.decoding import UPRIGHT, ImageLimits, Picture, decode, ended, opened, orientation_of, png_exif
from bundle.errors import ImageTooLarge
from bundle.framing import Box
from bundle.jpeg import JpegLayout
from bundle.vips import read_reduced, reduced_size

EXACT_PIXELS = 4_000_000
"""Pictures up to this size keep every pixel, and so does what a detector's ears are cut from."""
OVERSAMPLING = 4
"""Resolution of what a crop is made from, over that of the crop."""
FACTORS = (8, 4, 2, 1)
STREAMED = {
    "JPEG": ("RGB", "L"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "I;16", "1"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "RGBA", "L", "P", "I;16"),
}
"""Modes that libvips reads row by row with the same colours as Pillow."""
TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
"""EXIF orientation -> whether axes are swapped, whether the file's x and its y run backwards."""
ROWS_BYTES = 32 << 20
"""Working memory of a streamed picture besides what its format keeps."""
PILLOW_BYTES = {"WEBP": 20, "AVIF": 20, "HEIF": 20}
"""Bytes per pixel while Pillow decodes and converts a whole picture; 12 for other formats."""


@dataclass(frozen=True)
class Part:
    """Pixels of a part of a picture, perhaps at reduced scale, and where they lie in it.

    pixels: (h, w, 3) uint8 RGB, upright. left, top: of the part, in the picture's pixels. scale_x, scale_y: pixels of
    the picture for one of the part. width, height: of the whole picture, upright.
    """

    pixels: Picture
    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0

    @classmethod
    def whole(cls, picture: Picture) -> Part:
        """A decoded picture, (H, W, 3) uint8 RGB, as a part of itself."""
        return cls(picture, picture.shape[1], picture.shape[0])

    def place(self, box: Box) -> Box:
        """A box of the picture in pixels of the part."""
        x1, y1, x2, y2 = box
        return (
            (x1 - self.left) / self.scale_x,
            (y1 - self.top) / self.scale_y,
            (x2 - self.left) / self.scale_x,
            (y2 - self.top) / self.scale_y,
        )


DEFAULT_LIMITS = ImageLimits()


class PictureFile:
    """An encoded picture. Reading the header raises what `bundle.decoding.decode` raises for it.

    width, height: upright, in pixels.
    """

    def __init__(self, data: bytes, limits: ImageLimits = DEFAULT_LIMITS, alpha_grey: int = 128) -> None:
        self._data, self._limits, self._alpha_grey = data, limits, alpha_grey
        with opened(data, limits) as (image, layout):
            self.format = image.format or "image"
            if self.format == "PNG":  # Pillow would decode all pixels to look for EXIF behind them
                image.info.setdefault("exif", png_exif(data))
            self._orientation = orientation_of(image)
            self._profile: bytes | None = image.info.get("icc_profile")
            self._file_width, self._file_height = image.size
            animated = getattr(image, "is_animated", False) and self.format == "WEBP"
            tinted_alpha = self._profile is not None and image.has_transparency_data
            self._streamed = image.mode in STREAMED.get(self.format, ()) and not animated and not tinted_alpha
            self._decoder_bytes = self._kept_by_decoder(image, layout)
        swapped = TURNS[self._orientation][0]
        self.width, self.height = image.size[::-1] if swapped else image.size

    @property
    def pixels(self) -> int:
        """Width x height."""
        return self.width * self.height

    @property
    def is_large(self) -> bool:
        """Whether it may be read at reduced scale."""
        return self.pixels > EXACT_PIXELS

    @property
    def cost_bytes(self) -> int:
        """Memory that decoding takes at most, besides the part that is returned."""
        if self.is_large and self._streamed:
            return ROWS_BYTES + self._decoder_bytes
        return self.pixels * PILLOW_BYTES.get(self.format, 12)

    def factor_for(self, side: float, size: int) -> int:
        """How far to reduce what becomes a crop of `size` px from `side` px of the picture: 1, 2, 4 or 8."""
        if not self.is_large:
            return 1
        return next(factor for factor in FACTORS if side / factor >= OVERSAMPLING * size or factor == 1)

    def whole(self, most_pixels: int = EXACT_PIXELS) -> Part:
        """All of the picture, reduced as little as `most_pixels` allow."""
        fitting = [factor for factor in reversed(FACTORS) if self.pixels / factor**2 <= most_pixels]
        return self.part(None, fitting[0] if fitting else FACTORS[0])

    def part(self, window: Box | None, factor: int) -> Part:
        """What lies in a window of the upright picture (None: all), or more. factor: 1, 2, 4 or 8.

        Raises UndecodableImage.
        """
        if self.is_large and self._streamed:
            return self._streamed_part(window, factor)
        picture = decode(self._data, self._limits, self._alpha_grey)
        if factor == 1 or not self.is_large:
            return Part.whole(picture)
        reduced = np.array(Image.fromarray(picture).reduce(factor))
        return replace(Part.whole(picture), pixels=reduced, scale_x=factor, scale_y=factor)

    def _streamed_part(self, window: Box | None, factor: int) -> Part:
        width, height = reduced_size(self.format, self._file_width, self._file_height, factor)
        # Where a block at the right or lower edge is partial, a pixel still stands for `factor` of the picture's.
        scales = (self._file_width / width, self._file_height / height) if self.format == "WEBP" else (factor, factor)
        inside = self._in_file(window, scales, (width, height))
        pixels = ended(self._data, lambda data: read_reduced(data, self.format, factor, self._alpha_grey, inside))
        image = to_srgb(Image.fromarray(pixels), self._profile)
        if self._orientation in UPRIGHT:
            image = image.transpose(UPRIGHT[self._orientation])
        return self._located(np.array(image), inside, scales)

    def _in_file(
        self, window: Box | None, scales: tuple[float, float], size: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """An upright window -> whole pixels of the reduced file that cover it."""
        if window is None:
            return (0, 0, *size)
        swapped, back_x, back_y = TURNS[self._orientation]
        x1, y1, x2, y2 = window
        along_x, along_y = ((y1, y2), (x1, x2)) if swapped else ((x1, x2), (y1, y2))
        first_x, last_x = _covered(along_x, self._file_width, back_x, scales[0], size[0])
        first_y, last_y = _covered(along_y, self._file_height, back_y, scales[1], size[1])
        return first_x, first_y, last_x, last_y

    def _located(self, pixels: Picture, inside: tuple[int, int, int, int], scales: tuple[float, float]) -> Part:
        swapped, back_x, back_y = TURNS[self._orientation]
        left = self._file_width - inside[2] * scales[0] if back_x else inside[0] * scales[0]
        top = self._file_height - inside[3] * scales[1] if back_y else inside[1] * scales[1]
        if swapped:
            left, top, scales = top, left, scales[::-1]
        return Part(pixels, self.width, self.height, left, top, *scales)

    def _kept_by_decoder(self, image: Image.Image, layout: JpegLayout | None) -> int:
        """Bytes that a streaming decoder keeps of the whole picture, from what the header says."""
        pixels = image.width * image.height
        if layout is not None:
            return int(2 * layout.coefficients * pixels)
        if self.format == "PNG":
            return pixels * 8 if image.info.get("interlace") else 0
        if self.format == "WEBP":
            return pixels * (4 if b"VP8L" in self._data[12:40] or b"ALPH" in self._data[12:40] else 1)
        if self.format == "TIFF":
            tags = getattr(image, "tag_v2", {})
            rows = tags.get(278) or tags.get(323) or image.height  # of a strip, of a tile
            return len(self._data) + 8 * image.width * min(int(rows), image.height)
        return 0

    def refuse_above(self, most_bytes: int) -> None:
        """Raise ImageTooLarge where decoding takes more memory than `most_bytes`, and say what takes less."""
        if self.cost_bytes > most_bytes:
            raise ImageTooLarge(
                f"{self.format} of {self.width}x{self.height} px takes {self.cost_bytes >> 20} MiB to decode, at most "
                f"{most_bytes >> 20} MiB are allowed; send it smaller, or as a JPEG that is not progressive"
            )


def _covered(along: tuple[float, float], extent: int, backwards: bool, scale: float, size: int) -> tuple[int, int]:
    """First and last (exclusive) reduced pixel of the stretch `along` of one axis, at least one pixel."""
    start, stop = (extent - along[1], extent - along[0]) if backwards else along
    first = min(max(int(np.floor(start / scale)), 0), size - 1)
    return first, max(min(int(np.ceil(stop / scale)), size), first + 1)
