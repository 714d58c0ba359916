"""What the detector learns from: sources, composed scenes, framed crops, whole steps."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from bundle.image import to_jpeg
from synth.pictures.picture import Picture
from synth.records import rows, write_metadata
from tests.training.detector.shapes import LANDMARKS, TINY
from training.data.records import EarRecord
from training.detector.config import DetectorRun
from training.detector.ear_crops import CropMaker
from training.detector.scenes import SceneMaker, turned_box
from training.detector.sources import CENTRE, free_windows, landmark_names, load_free, load_sources, some_subjects
from training.detector.steps import Photos, Steps, order
from training.errors import DataError


def augment_params(number):
    return np.random.Generator(np.random.Philox(key=[0, number]))


def test_landmarks_are_named_by_the_table(photos):
    assert landmark_names(photos) == ("top", "middle", "bottom")


def test_splits_of_several_data_sets_are_joined(photos):
    sources = load_sources([photos, photos], LANDMARKS)
    assert (len(sources.train), len(sources.val)) == (24, 8)


def test_another_number_of_landmarks_is_refused(photos):
    with pytest.raises(DataError, match="has 3 landmarks; the detector has 17"):
        load_sources([photos], 17)


def test_a_share_of_the_labels_is_a_share_of_the_subjects(photos):
    train = load_sources([photos]).train
    half = some_subjects(train, 0.5, seed=1)
    assert len({record.subject for record in half}) == 3
    assert len(half) == 6


def test_free_windows_keep_clear_of_the_ear():
    for x1, y1, x2, y2 in free_windows((50, 50, 90, 110), 200, 200):
        assert x2 <= 50 or x1 >= 90 or y2 <= 50 or y1 >= 110
    assert free_windows((5, 5, 45, 45), 50, 50) == []


def test_a_scene_is_a_function_of_its_generator(photos):
    make = SceneMaker(load_sources([photos]).train, 160)
    one, again, other = make(augment_params(1)), make(augment_params(1)), make(augment_params(2))
    np.testing.assert_array_equal(one.picture, again.picture)
    assert not np.array_equal(one.picture, other.picture)


def test_boxes_of_scenes_frame_ears(photos):
    """The drawn ears are brighter than what surrounds them: so must be the inside of a box."""
    make = SceneMaker(load_sources([photos]).train, 160)
    brighter, empty = [], 0
    for number in range(60):
        scene = make(augment_params(number))
        assert scene.picture.shape == (160, 160, 3)
        empty += len(scene.boxes) == 0
        for box in scene.boxes:
            x1, y1, x2, y2 = (box / 4).clip(0, 160).astype(int)
            if x2 - x1 < 8 or y2 - y1 < 8:
                continue
            wide, high = (x2 - x1) // 4, (y2 - y1) // 4
            middle = scene.picture[y1 + high : y2 - high, x1 + wide : x2 - wide].mean()
            corners = scene.picture[[y1, y1, min(y2, 159), min(y2, 159)], [x1, min(x2, 159), x1, min(x2, 159)]].mean()
            brighter.append(middle > corners)
    assert 3 <= empty <= 30
    assert np.mean(brighter) > 0.85


def test_a_box_turned_by_nothing_is_only_moved_and_zoomed():
    assert turned_box((0, 0, 10, 20), 2.0, 0.0, (50, 60)).tolist() == [40, 40, 60, 80]


def test_a_look_brings_its_landmarks_along(photos):
    """Landmarks lie on the bright ear, whichever way the square was moved and mirrored."""
    records = load_sources([photos]).train
    make = CropMaker(records, 64, LANDMARKS, 0.25)
    for number in range(24):
        look = make(number % len(records), augment_params(number))
        assert look.crop.shape == (64, 64, 3)
        if look.ear:
            x, y = (look.points[1] * 64).astype(int)
            assert look.crop[y, x].mean() > look.crop.mean()
        else:
            assert look.weights.sum() == 0


def test_most_looks_are_in_left_orientation_and_the_others_say_so(photos):
    make = CropMaker(load_sources([photos]).train, 64, LANDMARKS, 0.25)
    crops = [look for number in range(60) if (look := make(number % 12, augment_params(number))).ear]
    turned = [look.mirrored for look in crops]
    assert 0 < sum(turned) < 0.4 * len(turned)


def test_every_record_is_looked_at_once_a_round():
    seen = np.concatenate([order(12, 3, step, 4) for step in range(3)])
    assert sorted(seen) == list(range(12))
    assert len(order(2, 0, 0, 5)) == 5


def test_a_step_is_a_function_of_seed_and_number(photos):
    run = DetectorRun(data=(photos,), out=photos.parent / "run", crops_per_step=4, scenes=2)
    steps = Steps(load_sources([photos]).train, TINY, run)
    for one, again in zip(steps[3], steps[3], strict=True):
        torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert steps[0].scenes.shape == (2, 80, 80, 3)
    assert steps[0].points.shape == (4, LANDMARKS + 4, 2)


def test_a_photo_is_letterboxed_with_its_truth(photos):
    record = load_sources([photos]).val[0]
    batch = Photos([record], LANDMARKS)[0]
    assert batch.pictures.shape == (640, 640, 3)
    corners = np.reshape(np.array(record.box), (2, 2)) * 5 + (0, 80)
    np.testing.assert_allclose(batch.boxes.reshape(2, 2), corners)


def rewritten(photos, folder, change):
    """The table of the photos with each row changed, or dropped where None comes back."""
    folder.mkdir(exist_ok=True)
    for path in photos.parent.glob("*.png"):
        (folder / path.name).symlink_to(path)
    with photos.open() as stream:
        rows = [change(dict(row)) for row in csv.DictReader(stream)]
    with (folder / "metadata.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, [name for name in rows[0]])
        table.writeheader()
        table.writerows(rows)
    return folder / "metadata.csv"


def boxes_only(row):
    return {name: value for name, value in row.items() if name.rpartition("_")[0] not in ("top", "middle", "bottom")}


def test_boxes_without_landmarks_teach_the_centre_of_the_box(photos, tmp_path):
    sources = load_sources([rewritten(photos, tmp_path, boxes_only)])
    assert sources.landmark_names == (CENTRE,)
    record = sources.train[0]
    assert record.landmarks.tolist() == [[(record.box[0] + record.box[2]) / 2, (record.box[1] + record.box[3]) / 2]]
    assert load_sources([tmp_path / "metadata.csv"], LANDMARKS).train[0].landmarks is None  # evaluated by another


@pytest.mark.parametrize("count", [1, 2])
def test_any_number_of_landmarks_is_taken(photos, tmp_path, count):
    names = ("top", "middle", "bottom")[count:]
    table = rewritten(photos, tmp_path, lambda row: {k: v for k, v in row.items() if k.rpartition("_")[0] not in names})
    assert load_sources([table]).landmark_names == ("top", "middle", "bottom")[:count]


def test_unusable_pictures_are_left_out_counted_and_named(photos, tmp_path):
    changes = {"p0_0.png": {"x1": "", "y1": "", "x2": "", "y2": ""}, "p0_1.png": {"x1": "900", "x2": "990"}}
    table = rewritten(photos, tmp_path, lambda row: row | changes.get(row["path"], {}))
    (tmp_path / "p1_0.png").unlink()
    (tmp_path / "p1_0.png").write_bytes(b"no picture")
    sources = load_sources([table])
    assert len(sources.train) == 9
    assert {item.name: item.reason for item in sources.unusable} == {
        "p0_0.png": "no ear box",
        "p0_1.png": "box outside the picture or too small",
        "p1_0.png": "cannot be read",
    }


def test_data_without_any_box_names_the_first_picture(photos, tmp_path):
    table = rewritten(photos, tmp_path, lambda row: row | {"x1": "", "y1": "", "x2": "", "y2": ""})
    with pytest.raises(DataError, match=r"no training picture has an ear box.*p0_0\.png: no ear box"):
        load_sources([table])


VIOLET = (200, 0, 200)


@pytest.fixture
def negatives(tmp_path):
    """What `ear-teacher synth --mode negatives` writes: a row a picture, no ear in it."""
    (tmp_path / "negatives").mkdir()
    table = []
    for number in range(12):
        name = f"s1_{number:04d}_00"
        jpeg = to_jpeg(np.full((48, 64, 3), VIOLET, np.uint8))
        (tmp_path / "negatives" / f"{name}.jpg").write_bytes(jpeg)
        picture = Picture(f"s1_{number:04d}", name, jpeg, (), {})
        table += rows(picture, "negatives", "train" if number < 8 else "val")
    write_metadata(tmp_path / "metadata.csv", table)
    return tmp_path / "metadata.csv"


def is_violet(pixels):
    middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].astype(int)
    return middle[0] - middle[1] > 60 and middle[2] - middle[1] > 60


def test_rendered_pictures_without_ears_are_read_with_their_split(negatives):
    train, val = load_free([negatives])
    assert (len(train), len(val)) == (8, 4)
    assert {record.box for record in train + val} == {None}


def test_pictures_without_ears_become_scenes_and_crops_that_say_so(photos, negatives):
    records, free = load_sources([photos]).train, load_free([negatives])[0]
    scenes = SceneMaker(records, 160, free)
    empty = [scene for number in range(80) if not len((scene := scenes(augment_params(number))).boxes)]
    assert sum(is_violet(scene.picture) for scene in empty) >= 3
    crops = CropMaker(records, 64, LANDMARKS, 0.25, free)
    violet = [crop for number in range(80) if is_violet((crop := crops(0, augment_params(number))).crop)]
    assert len(violet) >= 3
    assert {crop.ear for crop in violet} == {0.0}


def test_without_such_pictures_scenes_and_crops_are_as_ever(photos):
    records = load_sources([photos]).train
    for number in range(12):
        ever, now = SceneMaker(records, 80), SceneMaker(records, 80, [])
        np.testing.assert_array_equal(ever(augment_params(number)).picture, now(augment_params(number)).picture)


def test_picture_with_an_ear_is_no_negative(photos):
    with pytest.raises(DataError, match=r"--negatives: p0_0\.png has an ear box"):
        load_free([photos])


def test_tight_crop_gives_a_crop_however_little_of_its_square_is_inside(tmp_path):
    """A picture that is its ear's own box, tall and narrow: a fifth of the square around it."""
    path = tmp_path / "tight.png"
    Image.new("RGB", (40, 200), (180, 140, 120)).save(path)
    record = EarRecord(path, box=(0, 0, 40, 200), side="left")
    make = CropMaker([record], 64, LANDMARKS, 0.25)
    for number in range(20):
        crop = make(0, augment_params(number))
        assert crop.crop.shape == (64, 64, 3)
        assert abs(crop.crop.mean() - 146.7) < 2  # its edge pixels fill the rest
