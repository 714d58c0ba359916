"""Files made to hurt: cut at each percent, under a wrong signature, promising or unpacking far too much."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.decoding import decode
from bundle.errors import ImageError, ImageTooLarge, UndecodableImage
from bundle.jpeg import MAX_SCANS
from tests.bundle.pictures import encoded, scene

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
SIGNATURES = [
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x00\x10\x00\x00WEBP",
    b"GIF89a",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_at_each_percent_gives_its_picture_or_an_image_error(kind: str) -> None:
    whole = encoded(scene(), kind)
    refused = 0
    for percent in range(100):
        try:
            assert decode(whole[: len(whole) * percent // 100]).shape == scene().shape
        except ImageError:
            refused += 1
    assert refused > 80


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_under_the_signature_of_another_format_is_refused(kind: str) -> None:
    whole = encoded(scene(), kind)
    for signature in SIGNATURES:
        if not whole.startswith(signature[:4]):
            with contextlib.suppress(ImageError):
                decode(signature + whole[len(signature) :])
            with pytest.raises(ImageError):
                decode(signature + whole)


def png_of(*chunks: tuple[bytes, bytes], side: int = 64) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*one) for one in chunks) + chunk(b"IEND", b"")


ZEROS = zlib.compress(b"\0" * (64 << 20), 9)
PIXELS = (b"IDAT", zlib.compress(b"\0" * (64 * 193)))
BOMBS = {
    "pixels": png_of((b"IDAT", ZEROS)),
    "profile": png_of((b"iCCP", b"icc\0\0" + ZEROS), PIXELS),
    "text": png_of((b"zTXt", b"note\0\0" + ZEROS), PIXELS),
    "international text": png_of((b"iTXt", b"note\0\1\0\0\0" + ZEROS), PIXELS),
    "many texts": png_of(*[(b"zTXt", b"note%d\0\0" % n + ZEROS) for n in range(20)], PIXELS),
}


def test_what_unpacks_to_far_more_than_its_pixels_takes_no_memory(tmp_path: Path) -> None:
    """In a process of its own, so that the peak is the bombs'."""
    for name, data in BOMBS.items():
        (tmp_path / name).write_bytes(data)
    code = (
        "import resource, sys\n"
        "from bundle.decoding import read\n"
        "from bundle.errors import ImageError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "for path in sys.argv[1:]:\n"
        "    try: read(path)\n"
        "    except ImageError: pass\n"
        "    print(path, peak() - before, 'KiB')\n"
        "sys.exit(peak() - before > 24 * 1024)"
    )
    command = [sys.executable, "-c", code, *sorted(str(path) for path in tmp_path.iterdir())]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("piece", [b"", b"\0" * 40, b"Exif\0\0II*\0\xff\xff\xff\xff", b"\xff" * 3000])
def test_broken_exif_and_profiles_leave_the_pixels(kind: str, piece: bytes) -> None:
    damaged = encoded(scene(), kind, icc_profile=piece, **({} if kind == "TIFF" else {"exif": b"Exif\0\0" + piece}))
    assert decode(damaged).shape == scene().shape


def progressive(scans: int) -> bytes:
    """A JPEG whose last scan, a few bytes, comes again and again."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 130)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    first, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[first:end] * scans + data[end:]


def test_a_jpeg_of_countless_scans_is_refused() -> None:
    assert decode(progressive(20)).shape == (64, 64, 3)
    with pytest.raises(UndecodableImage, match="more than 100 scans"):
        decode(progressive(MAX_SCANS))


def test_scans_are_not_counted_in_what_only_looks_like_them() -> None:
    whole = encoded(scene(), "JPEG")
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 400) + b"\xff\xda" * 200
    assert decode(whole[:2] + comment + whole[2:]).shape == scene().shape
    assert decode(whole + b"\xff\xda" * 10_000).shape == scene().shape  # phones append films


def test_countless_empty_segments_are_refused() -> None:
    with pytest.raises(UndecodableImage, match="segments"):
        decode(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 5_000_000)


@pytest.mark.parametrize("sides", [(65_500, 65_500), (2**31 - 1, 2**31 - 1), (2**31 - 1, 16)])
def test_huge_sides_are_refused_from_the_header(sides: tuple[int, int]) -> None:
    width, height = sides
    bitmap = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    fields = ((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1))
    entries = b"".join(struct.pack("<HHII", *one) for one in fields)
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + entries + b"\0\0\0\0"
    for data in (bitmap, tiff):
        with pytest.raises(ImageTooLarge):
            decode(data)


def test_a_directory_of_a_tiff_that_points_at_itself_ends() -> None:
    whole = bytearray(encoded(scene(), "TIFF"))
    (directory,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, directory)
    struct.pack_into("<I", whole, directory + 2 + 12 * count, directory)
    assert decode(bytes(whole)).shape == np.asarray(scene()).shape
