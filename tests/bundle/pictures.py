"""Pictures that users send, good and bad, made from one synthetic scene. Used by every test of decoding and framing."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def scene(width: int = 96, height: int = 64) -> np.ndarray:
    """(H, W, 3) uint8: smooth, different in every corner, so that a turned or clipped picture is noticed."""
    y, x = np.mgrid[0:height, 0:width]
    red = 30 + 200 * x / width
    green = 220 - 180 * y / height
    blue = 128 + 90 * np.sin(x / 9.0) * np.cos(y / 7.0)
    return np.stack([red, green, blue], axis=-1).round().astype(np.uint8)


def encoded(picture: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels: a decompression bomb's first bytes."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def jpeg_header(width: int, height: int) -> bytes:
    """A whole JPEG whose frame header claims another size."""
    data = bytearray(encoded(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)
