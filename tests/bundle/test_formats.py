"""What phones send: HEIC, AVIF, JPEG XL, colour profiles, JPEGs that lost their end."""

from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from bundle.decoding import decode
from bundle.errors import UndecodableImage
from tests.bundle.pictures import encoded, scene

P3 = {b"rXYZ": (0.51512, 0.2412, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189), b"bXYZ": (0.15710, 0.06657, 0.78407)}


def display_p3() -> bytes:
    """The profile of iPhones: sRGB's, with the primaries of Display P3 (D50) in place of its own."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(int.from_bytes(profile[128:132], "big")):
        name, at, _ = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if name in P3:
            struct.pack_into(">3i", profile, at + 8, *(round(value * 65536) for value in P3[name]))
    return bytes(profile)


def test_heic_and_avif_are_read() -> None:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(scene())).save(buffer, quality=95)
    for data in (buffer.getvalue(), encoded(scene(), "AVIF", quality=95)):
        assert np.abs(decode(data).astype(int) - scene()).mean() < 6


def test_heic_without_the_extra_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UndecodableImage, match=r"HEIC.*Most Compatible.*ear-teacher\[heif\]"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40)


@pytest.mark.parametrize("data", [b"\xff\x0a\0\0", b"\0\0\0\x0cJXL \r\n\x87\n\0\0"])
def test_jpeg_xl_names_the_format_and_the_cure(data: bytes) -> None:
    with pytest.raises(UndecodableImage, match="JPEG XL is not read; save the picture as JPEG"):
        decode(data)


@pytest.mark.parametrize(
    "data", [b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", b"\0\0\0\x18ftyp", b"\xff\xff\xff\xffftypavif"]
)
def test_a_film_or_half_a_header_is_no_picture(data: bytes) -> None:
    with pytest.raises(UndecodableImage):
        decode(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read(options: dict[str, object]) -> None:
    whole = encoded(scene(), "JPEG", **options)
    assert (decode(whole[:-2]) == decode(whole)).all()
    assert (decode(whole[:-1]) == decode(whole)).all()


@pytest.mark.parametrize("missing", [40, 200, 1000])
def test_a_jpeg_that_lacks_pixels_is_refused(missing: int) -> None:
    whole = encoded(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8), "JPEG")
    with pytest.raises(UndecodableImage, match="whole"):
        decode(whole[:-missing])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_display_p3_becomes_srgb(kind: str) -> None:
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    plain = decode(encoded(scene(), kind, **lossless)).astype(int)
    tagged = decode(encoded(scene(), kind, icc_profile=display_p3(), **lossless)).astype(int)
    assert np.abs(tagged - plain).mean() > 2
    neutral = np.full((32, 32, 3), 140, np.uint8)
    assert np.abs(decode(encoded(neutral, kind, icc_profile=display_p3(), **lossless)).astype(int) - 140).max() <= 2


def test_a_known_colour_of_display_p3_becomes_its_srgb() -> None:
    skin = np.full((32, 32, 3), (200, 140, 120), np.uint8)
    red, green, blue = decode(encoded(skin, "PNG", icc_profile=display_p3()))[0, 0].astype(int)
    assert (red, green, blue) == (pytest.approx(210, abs=3), pytest.approx(138, abs=3), pytest.approx(117, abs=3))


def test_pixels_tagged_srgb_stay_as_they_are() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (decode(encoded(scene(), "PNG", icc_profile=profile)) == scene()).all()


def test_the_profile_of_a_transparent_picture_leaves_the_grey_behind_it() -> None:
    rgba = np.dstack([scene(), np.zeros((64, 96), np.uint8)])
    assert (decode(encoded(Image.fromarray(rgba), "PNG", icc_profile=display_p3())) == 128).all()
