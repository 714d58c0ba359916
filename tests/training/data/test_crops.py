"""The pixels that training sees are the ones that the service cuts."""

import numpy as np
import pytest
from PIL import Image

from bundle import image
from bundle.framing import Framing
from common.records.record import EarRecord
from training.data.crops import HIDDEN, DecodedCrops, Framer, HeldCrops, examine, landmark_count
from training.errors import DataError

FRAMING = Framing(size_px=32)


def _record(folder, name="a.png", **known):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(folder / name)
    return EarRecord(folder / name, **known)


def test_crop_is_the_one_the_service_would_cut(tmp_path):
    record = _record(tmp_path, box=(10.0, 5.0, 50.0, 45.0))
    expected = image.frame(image.read(record.path), record.box, FRAMING)
    np.testing.assert_array_equal(Framer(FRAMING)(record).crop, expected)


def test_right_ear_is_mirrored_with_its_landmarks(tmp_path):
    points = np.array([[10.0, 5.0], [50.0, 45.0]], np.float32)
    seen = np.array([True, False])
    left = _record(tmp_path, box=(10.0, 5.0, 50.0, 45.0), side="left", landmarks=points, visible=seen)
    right = EarRecord(left.path, left.box, None, "right", points, seen)
    framer = Framer(FRAMING, landmarks=2)
    as_left, as_right = framer(left), framer(right)
    np.testing.assert_array_equal(as_right.crop, as_left.crop[:, ::-1])
    np.testing.assert_allclose(as_right.landmarks[:, 0], 1 - as_left.landmarks[:, 0], atol=1e-6)
    np.testing.assert_allclose(as_right.landmarks[:, 1], as_left.landmarks[:, 1])


def test_landmarks_are_shares_of_the_framed_square(tmp_path):
    points = np.array([[10.0, 5.0], [50.0, 45.0], [30.0, 25.0]], np.float32)
    record = _record(tmp_path, box=(10.0, 5.0, 50.0, 45.0), landmarks=points, visible=np.ones(3, bool))
    found = Framer(FRAMING, landmarks=3)(record).landmarks
    inset = 0.1 / 1.2  # a margin of 10 % each side of the box
    np.testing.assert_allclose(found, [[inset, inset], [1 - inset, 1 - inset], [0.5, 0.5]], atol=1e-6)


def test_landmark_weights_tell_seen_from_covered_from_unknown(tmp_path):
    points = np.array([[10.0, 5.0], [50.0, 45.0], [np.nan, 1.0]], np.float32)
    record = _record(tmp_path, landmarks=points, visible=np.array([True, False, False]))
    framed = Framer(FRAMING, landmarks=3)(record)
    np.testing.assert_allclose(framed.weights, [1, HIDDEN, 0])
    assert np.isfinite(framed.landmarks).all()
    blank = Framer(FRAMING, landmarks=3)(EarRecord(record.path))
    assert blank.weights.sum() == 0
    assert blank.landmarks.shape == (3, 2)


def test_boxes_are_ignored_where_told(tmp_path):
    record = _record(tmp_path, box=(10.0, 5.0, 50.0, 45.0))
    whole = Framer(FRAMING, use_boxes=False)(record).crop
    np.testing.assert_array_equal(whole, image.frame(image.read(record.path), None, FRAMING))


def test_examination_finds_what_cannot_be_used_and_keeps_the_rest(tmp_path):
    good = _record(tmp_path)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    outside = EarRecord(good.path, box=(500.0, 500.0, 600.0, 600.0))
    found = examine([good, EarRecord(tmp_path / "bad.jpg"), outside], Framer(FRAMING))
    assert found.kept == [good]
    assert len(found.items) == 1
    assert "bad.jpg" in found.refused[0]
    assert len(found.refused) == 2
    assert len(found.digests) == 1


def test_fingerprint_follows_pixels_boxes_and_names(tmp_path):
    record = _record(tmp_path)
    framer = Framer(FRAMING)
    first = examine([record], framer).sha256
    assert examine([record], framer, hold=False).sha256 == first
    assert examine([EarRecord(record.path, subject="ann")], framer).sha256 != first
    assert examine([EarRecord(record.path, box=(1.0, 2.0, 30.0, 40.0))], framer).sha256 != first
    Image.new("RGB", (60, 80)).save(record.path)
    assert examine([record], framer).sha256 != first


def test_held_and_decoded_crops_are_the_same(tmp_path):
    records = [_record(tmp_path, f"{n}.png", side=side) for n, side in enumerate(("left", "right"))]
    framer = Framer(FRAMING)
    held, decoded = HeldCrops(examine(records, framer).items), DecodedCrops(records, framer)
    assert len(held) == len(decoded) == 2
    for number in range(2):
        np.testing.assert_array_equal(held[number].crop, decoded[number].crop)


def test_landmark_counts_must_agree(tmp_path):
    def with_points(count):
        return EarRecord(tmp_path, landmarks=np.zeros((count, 2), np.float32), visible=np.ones(count, bool))

    assert landmark_count([EarRecord(tmp_path), with_points(17)]) == 17
    assert landmark_count([EarRecord(tmp_path)]) == 0
    with pytest.raises(DataError, match=r"\[5, 17\] landmarks"):
        landmark_count([with_points(17), with_points(5)])
