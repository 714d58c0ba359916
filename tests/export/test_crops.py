"""Which pictures an export is judged on."""

import csv

import numpy as np
import pytest
from PIL import Image

from bundle.framing import Framing
from export.crops import Crops, load_crops
from export.errors import NoCrops

FRAMING = Framing(size_px=32)


@pytest.fixture
def folder(tmp_path):
    """Six pictures of three subjects, the last subject in validation."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        Image.fromarray(rng.integers(0, 255, (48, 40, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        split = "val" if number >= 4 else "train"
        rows.append({"path": f"{number}.png", "subject": f"p{number // 2}", "side": "left", "split": split})
    with (tmp_path / "metadata.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


def test_validation_pictures_are_preferred(folder):
    crops = load_crops(folder, FRAMING, 100)
    assert crops.pixels.shape == (2, 32, 32, 3)
    assert crops.identities == (("p2", "left"), ("p2", "left"))


def test_a_plain_folder_gives_all_and_no_identities(folder):
    (folder / "metadata.csv").unlink()
    crops = load_crops(folder, FRAMING, 4)
    assert len(crops) == 4
    assert crops.identities is None


def test_an_unreadable_picture_is_left_out_by_name(folder):
    (folder / "4.png").write_bytes(b"not a picture")
    crops = load_crops(folder, FRAMING, 100)
    assert len(crops) == 1
    assert "4.png" in crops.skipped[0]


def test_nothing_usable_is_an_error(folder):
    for number in (4, 5):
        (folder / f"{number}.png").write_bytes(b"")
    with pytest.raises(NoCrops, match="none of 2 pictures can be used"):
        load_crops(folder, FRAMING, 100)
    with pytest.raises(NoCrops, match="--crops"):
        load_crops(folder / "nothing", FRAMING, 100)


def test_few_are_spread_over_all_and_many_are_whole_subjects():
    pixels = np.arange(90, dtype=np.uint8).reshape(90, 1, 1, 1).repeat(3, axis=3)
    crops = Crops(pixels, tuple(range(90)))
    assert crops.sample(3).identities == (0, 44, 89)
    assert crops.sample(40).identities == tuple(range(40))
    assert crops.sample(500) is crops
