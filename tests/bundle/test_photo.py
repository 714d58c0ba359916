"""Parts of large pictures at reduced scale give the crops of the whole picture, within a stated difference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.decoding import ImageLimits, decode
from bundle.errors import ImageTooLarge, UndecodableImage
from bundle.image import frame, framed_square, source_crop
from bundle.landmarks import letterbox
from bundle.photo import EXACT_PIXELS, PictureFile
from tests.bundle.pictures import encoded, exif, scene

LARGE = (2501, 2003)
OPTIONS = {
    "JPEG": {"quality": 90},
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 90, "method": 0},
    "TIFF": {},
    "BMP": {},
}
BOXES = [None, (700.0, 300.0, 1900.0, 1700.0), (1200.0, 900.0, 1450.0, 1250.0), (-50.0, -30.0, 300.0, 400.0)]


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    """A large scene with the grain of a camera."""
    grain = np.random.default_rng(0).integers(-12, 13, (LARGE[1], LARGE[0], 3))
    return np.clip(scene(*LARGE) + grain, 0, 255).astype(np.uint8)


def part_for(file: PictureFile, box):
    left, top, right, bottom = framed_square(file.width, file.height, box)
    return file.part((left - 60, top - 60, right + 60, bottom + 60), file.factor_for(right - left, 128))


@pytest.mark.parametrize("kind", OPTIONS)
def test_crops_of_reduced_parts_differ_by_about_a_grey_level(noisy, kind: str) -> None:
    """WebP's by more: libwebp averages its halved colour planes by themselves, and the scene has fine colours."""
    data = encoded(noisy, kind, **OPTIONS[kind])
    picture, file = decode(data), PictureFile(data)
    assert (file.width, file.height) == LARGE
    for box in BOXES:
        part = part_for(file, box)
        crop, again = frame(picture, box).astype(int), frame(part, box)
        assert np.abs(crop - again).mean() < (1.5 if kind == "WEBP" else 1.0), box
        if part.scale_x == 1:
            assert (crop == again).all(), "nothing was reduced"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_part_lies_where_its_exif_orientation_says(noisy, orientation: int) -> None:
    for kind in ("JPEG", "PNG") if orientation == 6 else ("JPEG",):
        data = encoded(noisy, kind, **OPTIONS[kind], exif=exif(orientation))
        picture, file = decode(data), PictureFile(data)
        assert (file.height, file.width) == picture.shape[:2]
        for box in ((300.0, 500.0, 1500.0, 1600.0), (20.0, 30.0, 420.0, 500.0)):
            assert np.abs(frame(picture, box).astype(int) - frame(part_for(file, box), box)).mean() < 1.0
            stored, place = source_crop(file.whole(), box)
            expected, expected_place = source_crop(picture, box)
            assert max(stored.shape) <= 512
            assert np.array(place) / max(stored.shape) == pytest.approx(
                np.array(expected_place) / max(expected.shape), abs=0.01
            )


def test_a_small_picture_keeps_every_pixel() -> None:
    data = encoded(scene(640, 480), "JPEG")
    file = PictureFile(data)
    assert (file.whole().pixels == decode(data)).all()
    assert (frame(file.part((10, 10, 300, 300), 8), None) == frame(decode(data), None)).all()
    assert file.cost_bytes < 4 << 20


def test_the_copy_for_the_detector_is_bounded_and_undone_to_the_whole_photo(noisy) -> None:
    part = PictureFile(encoded(noisy, "JPEG", exif=exif(6))).whole()
    assert part.pixels.shape[0] * part.pixels.shape[1] <= EXACT_PIXELS
    square = letterbox(part)
    assert square.picture.shape == (640, 640, 3)
    corners = np.array([[0.0, 0.0], [part.width, part.height]], np.float32)
    inside = corners * square.scale + (square.left, square.top)
    assert inside.min() > -1
    assert inside.max() == pytest.approx(640, abs=1)
    assert square.undo(inside.astype(np.float32)) == pytest.approx(corners, abs=0.5)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_large_file_that_is_cut_is_refused(noisy, kind: str) -> None:
    data = encoded(noisy, kind, **OPTIONS[kind])
    with pytest.raises(UndecodableImage, match="whole"):
        PictureFile(data[: int(len(data) * 0.6)]).part(None, 4)


def test_a_large_jpeg_without_its_end_marker_is_read(noisy) -> None:
    data = encoded(noisy, "JPEG", quality=90)
    assert (PictureFile(data[:-2]).part(None, 4).pixels == PictureFile(data).part(None, 4).pixels).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "CMYK", "I;16"])
def test_other_modes_of_large_pictures_give_the_colours_of_small_ones(noisy, mode: str) -> None:
    image = Image.fromarray(noisy[..., 0].astype(np.uint16) * 257) if mode == "I;16" else None
    image = image or Image.fromarray(noisy).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(np.broadcast_to(np.arange(LARGE[0]) % 256, LARGE[::-1]).astype(np.uint8)))
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG", **({} if mode == "CMYK" else {"compress_level": 1}))
    difference = frame(decode(data), None).astype(int) - frame(PictureFile(data).part(None, 4), None)
    assert np.abs(difference).mean() < 1.0


def test_what_takes_more_memory_than_there_is_names_what_takes_less(noisy) -> None:
    file = PictureFile(encoded(noisy, "JPEG", progressive=True))
    file.refuse_above(64 << 20)
    with pytest.raises(ImageTooLarge, match="not progressive"):
        file.refuse_above(34 << 20)
    assert PictureFile(encoded(noisy, "JPEG")).cost_bytes < file.cost_bytes


def test_fifty_megapixels_of_transparent_png_take_the_memory_of_some_rows(tmp_path: Path) -> None:
    """The file of the bug report: 7070 x 7070 RGBA. In a process of its own, so that the peak is its own."""
    Image.new("RGBA", (7070, 7070), (200, 120, 90, 128)).save(tmp_path / "large.png", compress_level=1)
    code = (
        "import resource, sys\n"
        "from bundle.photo import PictureFile\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "data = open(sys.argv[1], 'rb').read()\n"
        "before = peak()\n"
        "part = PictureFile(data).whole()\n"
        "print(part.pixels.shape, peak() - before, 'KiB')\n"
        "sys.exit(peak() - before > 80 * 1024)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "large.png")]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_the_header_alone_decides_whether_a_picture_is_too_large(noisy) -> None:
    with pytest.raises(ImageTooLarge, match="2501x2003 px; at most 1,000,000"):
        PictureFile(encoded(noisy, "PNG", compress_level=1), ImageLimits(max_pixels=1_000_000))
