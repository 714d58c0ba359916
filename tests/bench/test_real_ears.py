"""The yardstick on photographs: layouts, orientations, alignment, and a whole run on renders in AMI's layout."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench import real_ears
from bench.real_ears_decisions import decisions
from bench.real_ears_features import align, lbp, mean_landmarks
from bench.real_ears_photos import ami, ear_free, earvn
from bundle.image import read
from bundle.landmarks import FoundEar
from measure.calibration import calibrate

ROOT = Path(__file__).parents[2]
EARS = ROOT / "demo" / "ears"


def rows():
    with open(EARS / "metadata.csv", newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == "val"]


def ear_of(row):
    names = [name[:-2] for name in row if name.endswith("_x")]
    points = np.array([[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in names], np.float32)
    return FoundEar((0, 0, 1, 1), 1.0, row["side"], 1.0, points, np.ones(len(points), np.float32))


@pytest.fixture(scope="module")
def ami_folder(tmp_path_factory):
    """Four people of the demo ears under AMI's names."""
    folder = tmp_path_factory.mktemp("ami")
    people = {}
    for row in rows():
        pictures = people.setdefault(row["subject"], [])
        if len(people) <= 4 and len(pictures) < 4:
            pictures.append(row)
            shutil.copy(EARS / row["path"], folder / f"{len(people):03d}_v{len(pictures)}_ear.jpg")
    return folder


def test_ami_is_read_by_its_names(ami_folder):
    photos = ami(ami_folder)
    assert [photo.subject for photo in photos[:5]] == ["001"] * 4 + ["002"]
    with pytest.raises(ValueError, match="000_front_ear.jpg"):
        ami(EARS / "crops")


def test_earvn_takes_eight_pictures_spread_over_a_person_in_numeric_order(tmp_path):
    person = tmp_path / "001.A"
    person.mkdir()
    for number in range(1, 22):
        (person / f"001 ({number}).jpg").write_bytes(b"")
    assert [photo.path.stem for photo in earvn(tmp_path)] == [f"001 ({n})" for n in (1, 4, 7, 10, 12, 15, 18, 21)]
    with pytest.raises(ValueError, match="one for each person"):
        earvn(person)


def test_alignment_brings_the_landmarks_to_their_mean_places():
    """Both sides; checked on a picture whose only bright spot is the tragus."""
    target, names = mean_landmarks(), [name[:-2] for name in rows()[0] if name.endswith("_x")]
    errors = []
    for row in rows()[:24]:
        picture = np.zeros_like(read(EARS / row["path"]))
        x, y = round(float(row["tragus_x"])), round(float(row["tragus_y"]))
        picture[y - 1 : y + 2, x - 1 : x + 2] = 255
        spot = np.argwhere(align(picture, ear_of(row), target)[..., 0] > 60).mean(0)[::-1]
        errors.append(np.abs(spot - target[names.index("tragus")]).max())
    assert np.median(errors) < 6


def test_an_unknown_side_takes_the_better_orientation():
    rng = np.random.default_rng(0)
    left, subjects = rng.normal(size=(6, 32)).astype(np.float32), ["a"] * 3 + ["b"] * 3
    mirrored = rng.normal(size=(6, 32)).astype(np.float32)
    mirrored[2] = left[0]  # the query of `a` was posted the other way round
    assert real_ears.as_given(left, mirrored, subjects).similarity[0, 0] < 0.9
    assert real_ears.either_orientation(left, mirrored, subjects).similarity[0, 0] > 0.99


def test_lbp_is_a_root_of_histograms():
    vectors = lbp(np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8))
    assert vectors.shape == (2, 640)
    np.testing.assert_allclose((vectors**2).sum(1), 64, rtol=1e-5)


def test_the_pictures_without_ears_are_there():
    assert len(ear_free()) == 20
    assert [path for path in ear_free() if not path.is_file()] == []


@pytest.mark.slow
def test_the_whole_run_gives_a_table(ami_folder, tmp_path, capsys):
    flags = ["--bundle", str(ROOT / "demo" / "bundle"), "--ami", str(ami_folder)]
    assert real_ears.main([*flags, "--markdown", str(tmp_path / "table.md")]) == 0
    table = (tmp_path / "table.md").read_text()
    assert "| AMI, all | 4, 8 | HOG, aligned | " in table
    assert "| AMI, last half | 2, 4 | embedding | " in table
    assert "pictures without ears: " in table
    assert table in capsys.readouterr().out


def test_the_rate_that_is_asked_for_is_nearly_got_on_people_who_set_no_threshold():
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(60), 6)
    vectors = random.normal(size=(60, 32))[people] + 0.9 * random.normal(size=(360, 32)) + 0.6
    vectors = np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
    elsewhere = calibrate(*pairs_of(vectors - vectors.mean(0), people), calibrated_on="other pictures")
    own, is_centred, shipped = decisions("drawn", vectors, [str(one) for one in people], elsewhere)
    rate = re.compile(r"\| 0\.01 \| (0\.\d+) \(")
    assert 0.002 <= float(rate.search(own)[1]) <= 0.03
    assert 0.002 <= float(rate.search(is_centred)[1]) <= 0.03
    assert float(rate.search(shipped)[1]) > 0.05
    assert "the bundle (other pictures)" in shipped


def pairs_of(vectors, people):
    first, second = np.triu_indices(len(vectors), k=1)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity, same = (vectors @ vectors.T)[first, second], people[first] == people[second]
    return similarity[same], similarity[~same]
