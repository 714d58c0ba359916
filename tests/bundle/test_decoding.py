"""Every picture that users send, good and bad, gives the right pixels or a named error."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest
from PIL import Image

from bundle.decoding import ImageLimits, decode, read
from bundle.errors import BundleError, ImageError, ImageTooLarge, ImageTooSmall, UndecodableImage
from tests.bundle.pictures import encoded, exif, jpeg_header, png_header, scene

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]


def distance(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


@pytest.mark.parametrize(
    ("kind", "limit"), [("JPEG", 4), ("PNG", 0), ("WEBP", 5), ("GIF", 12), ("BMP", 0), ("TIFF", 0)]
)
def test_every_admitted_format_gives_the_picture(kind: str, limit: float) -> None:
    picture = decode(encoded(scene(), kind))
    assert picture.dtype == np.uint8
    assert picture.flags.writeable
    assert distance(picture, scene()) <= limit


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(mode: str) -> None:
    source = Image.fromarray(scene()).convert(mode)
    data = encoded(source, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    assert distance(decode(data), np.asarray(source.convert("RGB"))) < 3


def test_cmyk_jpeg_is_not_inverted() -> None:
    assert distance(decode(encoded(Image.fromarray(scene()).convert("CMYK"), "JPEG", quality=95)), scene()) < 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    samples = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    picture = decode(encoded(Image.fromarray(samples), kind))
    assert np.abs(picture[..., 0] - samples / 257.0).max() <= 1.0
    assert (picture[..., 0] == picture[..., 2]).all()


def test_16_bit_big_endian_tiff_is_scaled() -> None:
    samples = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    image = Image.frombytes("I;16B", (64, 64), samples.astype(">u2").tobytes())
    assert np.abs(decode(encoded(image, "TIFF"))[..., 1] - samples / 257.0).max() <= 1.0


def test_32_bit_samples_are_refused_with_advice() -> None:
    image = Image.fromarray(np.zeros((32, 32), dtype=np.float32))
    with pytest.raises(UndecodableImage, match="8 or 16 bits"):
        decode(encoded(image, "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    turned = Image.fromarray(scene())
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that the orientation tag reverses
    if orientation in undo:
        turned = turned.transpose(Image.Transpose(undo[orientation]))
    options = {} if kind == "TIFF" else {"lossless": True} if kind == "WEBP" else {}
    data = encoded(turned, kind, exif=exif(orientation), **options)
    assert distance(decode(data), scene()) < 4


def test_broken_exif_and_icc_still_give_the_picture() -> None:
    for broken in (
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff",
    ):
        assert distance(decode(encoded(scene(), "JPEG", exif=broken)), scene()) < 4
    assert distance(decode(encoded(scene(), "PNG", icc_profile=b"not a profile")), scene()) == 0
    assert distance(decode(encoded(scene(), "JPEG", icc_profile=b"not a profile")), scene()) < 4


def test_alpha_lies_over_mid_grey() -> None:
    rgba = np.dstack([scene(), np.zeros((64, 96), np.uint8)])
    rgba[:, 48:, 3] = 255
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        picture = decode(encoded(Image.fromarray(rgba), kind, **options))
        assert (picture[:, :48] == 128).all()
        assert (picture[:, 48:] == scene()[:, 48:]).all()


def test_half_transparent_pixels_are_blended() -> None:
    rgba = np.full((32, 32, 4), 0, np.uint8)
    rgba[..., 3] = 128
    assert abs(int(decode(encoded(Image.fromarray(rgba), "PNG"))[0, 0, 0]) - 64) <= 1


@pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255, 255])])
def test_a_transparent_palette_lies_over_mid_grey(transparency: int | bytes) -> None:
    image = Image.fromarray(np.repeat(np.arange(4, dtype=np.uint8), 256).reshape(32, 32)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    picture = decode(encoded(image, "PNG", transparency=transparency))
    assert (picture[0] == 128).all()
    assert (picture[-1] == (100, 110, 120)).all()


def test_transparent_grey_lies_over_mid_grey() -> None:
    grey = np.full((32, 32), 7, np.uint8)
    grey[16:] = 200
    picture = decode(encoded(Image.fromarray(grey), "PNG", transparency=7))
    assert (picture[:16] == 128).all()
    assert (picture[16:] == 200).all()
    wide = decode(encoded(Image.fromarray(grey.astype(np.uint16) * 256), "PNG", transparency=7 * 256))
    assert (wide == picture).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert distance(decode(data), np.asarray(frames[0])) < 4


def test_mpo_gives_its_first_picture() -> None:
    other = Image.new("RGB", (96, 64), (1, 2, 3))
    assert distance(decode(encoded(scene(), "MPO", save_all=True, append_images=[other])), scene()) < 4


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_by_name(kind: str, share: float) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = encoded(picture, kind)
    with pytest.raises(UndecodableImage, match=kind):
        decode(data[: max(12, int(len(data) * share))])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"hello, this is a text file renamed to ear.jpg", "hello, this"),
        (b"\xff", "JPEG, PNG, WebP"),
        (b"%PDF-1.7 ...", "allowed are JPEG"),
        (b"BM" + b"a" * 100, "BMP"),
        (b"\xff\xd8\xff" + b"\0" * 100, "JPEG"),
        (b"II*\0" + b"\xff" * 100, "TIFF"),
        (b"GIF89a" + b"\0" * 3, "GIF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WEBP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "<svg"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_is_allowed(data: bytes, words: str) -> None:
    with pytest.raises(UndecodableImage) as caught:
        decode(data)
    assert words in str(caught.value)


@pytest.mark.parametrize("data", [png_header(50_000, 50_000), jpeg_header(50_000, 50_000)], ids=["png", "jpeg"])
def test_a_huge_picture_is_refused_from_its_header(data: bytes) -> None:
    with pytest.raises(ImageTooLarge, match="50000x50000 px; at most 64,000,000 pixels"):
        decode(data)


def test_a_webp_and_a_gif_that_claim_too_much_are_refused() -> None:
    webp = b"RIFF\x00\x10\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xfe\x3f\0" * 2 + b"\0" * 64
    gif = b"GIF89a\x0a\0\x0a\0\0\0\0," + b"\0\0\0\0\xff\xff\xff\xff\0" + b"\x08\0;"
    for data in (webp, gif):
        with pytest.raises(ImageTooLarge, match="at most 64,000,000"):
            decode(data)


def test_1x1_is_too_small_and_the_message_names_both_sizes() -> None:
    with pytest.raises(ImageTooSmall, match="1x1 px; each side must have at least 16 px"):
        decode(encoded(np.zeros((1, 1, 3), np.uint8), "PNG"))


def test_too_many_bytes_are_refused_before_decoding() -> None:
    with pytest.raises(ImageTooLarge, match="101 bytes; at most 100"):
        decode(b"\xff" * 101, ImageLimits(max_bytes=100))


def test_read_names_the_file(tmp_path) -> None:
    path = tmp_path / "ear.jpg"
    path.write_bytes(b"no picture")
    with pytest.raises(UndecodableImage, match="ear.jpg: not a picture"):
        read(path)
    with pytest.raises(UndecodableImage, match="missing.png: cannot be read"):
        read(tmp_path / "missing.png")
    path.write_bytes(encoded(scene(), "PNG"))
    assert (read(path) == scene()).all()


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_bytes_give_a_picture_or_an_image_error_and_no_warning(kind: str) -> None:
    rng = np.random.default_rng(5)
    clean = encoded(scene(), kind, **({} if kind in ("GIF", "BMP") else {"exif": exif(6)}))
    for _ in range(150):
        data = bytearray(clean)
        for at in rng.integers(0, min(len(data), 400), size=rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        with warnings.catch_warnings(record=True) as leaked, contextlib.suppress(ImageError):
            assert decode(bytes(data)).shape[2] == 3
        assert not leaked


def test_every_image_error_is_the_users() -> None:
    assert BundleError.is_user_error
    assert issubclass(UndecodableImage, ImageError)
