"""Photos in squares and back, and what counts as an ear there."""

import numpy as np
import pytest

from bundle.errors import ContractError
from bundle.landmarks import EarFinder, distinct, ears_of, letterbox, nms
from bundle.session import FakeSession


def photo(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (3000, 2000), (7, 900), (640, 640), (192, 192)])
def test_a_letterbox_is_undone_exactly(height, width):
    square = letterbox(photo(height, width))
    assert square.picture.shape == (640, 640, 3)
    corners = np.array([[0.0, 0.0], [width, height]], np.float32)
    placed = corners * square.scale + (square.left, square.top)
    assert placed.min() >= -1
    assert placed.max() <= 641
    np.testing.assert_allclose(square.undo(placed.astype(np.float32)), corners, atol=1e-2 * max(height, width) / 640)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_places_in_a_turned_square_are_told_in_the_photo_that_was_not_turned(turns):
    picture = np.zeros((300, 400, 3), np.uint8)
    picture[50:110, 280:360] = 255
    square = letterbox(picture).turned(turns)
    rows, columns = np.nonzero(square.picture[..., 0] > 128 + 60)
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)
    np.testing.assert_allclose(square.undo_box(box), (280, 50, 360, 110), atol=1)
    covered = square.without([(280, 50, 360, 110)])
    assert covered.picture.max() <= 200
    assert (covered.turns, covered.picture.min()) == (turns, 0)


def test_part_of_an_ear_that_was_seen_whole_is_no_ear_of_its_own():
    whole, part, beside = (10, 10, 70, 110), (15, 60, 65, 112), (65, 10, 125, 110)
    assert distinct([whole, part, beside, whole]) == [0, 2]


def test_a_wide_photo_has_grey_above_and_below():
    square = letterbox(photo(240, 320)).picture
    assert (square[:80] == 128).all()
    assert (square[-80:] == 128).all()
    assert square[80:-80].std() > 10


def test_what_is_no_picture_is_refused():
    with pytest.raises(ContractError, match="uint8 RGB"):
        letterbox(np.zeros((10, 10), np.uint8))


def candidates(**more):
    values = {
        "boxes": np.array([[100.0, 100, 200, 260], [105, 100, 205, 260], [400, 300, 450, 380]], np.float32),
        "scores": np.array([0.9, 0.8, 0.5], np.float32),
        "points": np.zeros((3, 2, 2), np.float32) + 320,
        "visibilities": np.full((3, 2), 0.7, np.float32),
        "sides": np.array([0.2, 0.1, 0.95], np.float32),
    }
    return {**values, **more}


def test_the_same_ear_is_told_once():
    assert nms(candidates()["boxes"], candidates()["scores"], 0.3) == [0, 2]
    assert nms(candidates()["boxes"], candidates()["scores"], 0.6) == [0]


def test_ears_are_told_in_the_photos_pixels():
    first, second = ears_of(candidates(), letterbox(photo(240, 320)), 0.3)
    assert first.box == pytest.approx((50, 10, 100, 90))
    assert (first.side, second.side) == ("left", "right")
    assert first.side_probability == pytest.approx(0.8)
    np.testing.assert_allclose(first.landmarks, [[160, 120]] * 2)


def test_a_finder_gives_each_photo_its_own_ears():
    def graph(inputs):
        count = len(inputs["image"])
        values = {name: np.stack([value] * count) for name, value in candidates().items()}
        values["scores"][1] = 0.1
        return values

    finder = EarFinder(FakeSession(graph), threshold=0.3)
    found = finder.find([letterbox(photo(240, 320)), letterbox(photo(240, 320))])
    assert [len(ears) for ears in found] == [2, 0]
