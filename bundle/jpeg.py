"""What a JPEG's markers say before a pixel is decoded: whether it is safe, what decoding takes, whether it has an end.

Reads markers only (ITU-T T.81, annex B). Knows no limits on pixels.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass

from PIL.JpegImagePlugin import JpegImageFile

from bundle.errors import UndecodableImage

MAX_SCANS, MAX_SEGMENTS = 100, 5_000
"""Progressive JPEGs have about ten scans; each may be 14 bytes long and yet cost a pass over every pixel."""
NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in scan data \xff\x00 is a byte and \xff\xd0-\xd7 a restart
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
SCAN, END = 0xDA, 0xD9
END_MARKER = bytes((0xFF, END))


@dataclass(frozen=True)
class JpegLayout:
    """scans: passes over the picture. coefficients: samples per pixel that a decoder keeps until the last scan.

    Libjpeg keeps every coefficient (2 bytes each) of a progressive file and of one with several scans; 0 otherwise.
    """

    scans: int
    coefficients: float


def layout_of(data: bytes) -> JpegLayout:
    """Read the markers up to the end of the picture; what phones append after it is not looked at.

    Raises UndecodableImage for a file whose scans, or empty segments, would keep a thread busy for hours.
    """
    at, scans, segments = 2, 0, 0
    progressive, samples = False, 3.0
    while (marker := NEXT_MARKER.search(data, at)) is not None and data[marker.end() - 1] != END:
        at, segments = marker.end(), segments + 1
        kind = data[at - 1]
        if kind not in (0x01, 0xD8):  # all others carry their length
            scans += kind == SCAN
            length = int.from_bytes(data[at : at + 2], "big")
            if kind in FRAMES:
                progressive, samples = kind in PROGRESSIVE, _samples_per_pixel(data[at + 2 : at + length])
            at += length
        if scans > MAX_SCANS or segments > MAX_SEGMENTS:
            raise UndecodableImage(
                f"the JPEG has more than {MAX_SCANS} scans or {MAX_SEGMENTS} segments; save it again"
            )
    return JpegLayout(scans, samples if progressive or scans > 1 else 0.0)


def _samples_per_pixel(frame: bytes) -> float:
    """From a frame header: 3 for 4:4:4, 1.5 for 4:2:0, 1 for grey; 4 where it is damaged."""
    factors = [(frame[at] >> 4) * (frame[at] & 15) for at in range(7, len(frame), 3)]
    return sum(factors) / max(factors) if factors and all(factors) else 4.0


def with_end_marker(data: bytes) -> bytes | None:
    """The file with an end marker, where nothing else is missing; None where pixels are missing too.

    Some cameras and transfers lose the two bytes. Whether pixels are missing shows when the file is continued in two
    ways: where its last scan is whole, a decoder skips both fillings and the pixels are the same.
    """
    if data.endswith(END_MARKER):
        return None
    data = data.removesuffix(END_MARKER[:1])
    digests = set()
    for filling in (b"\x55", b"\xaa"):
        try:
            with JpegImageFile(io.BytesIO(data + 64 * filling + END_MARKER)) as image:
                image.draft("L", image.size)  # brightness alone: a byte for each pixel
                digests.add(hashlib.sha256(image.tobytes()).digest())
        except Exception:  # Pillow raises nearly everything on damaged files
            return None
    return data + END_MARKER if len(digests) == 1 else None
