"""Figures of a detector: what is perfect, what is missed, what is a false alarm."""

import numpy as np
import pytest

from bundle.landmarks import FoundEar
from training.detector.evaluation import PhotoResult, by_size, ced_curve, detect_all, figures, operating_threshold
from training.detector.sources import load_sources, read

BOX = (10.0, 10.0, 40.0, 50.0)  # its diagonal is 50 px
POINTS = np.array([[20.0, 15], [20, 30], [20, 45]])


def ear(score=0.9, box=BOX, shift=0.0, side="left"):
    return FoundEar(box, score, side, 0.9, (POINTS + (shift, 0)).astype(np.float32), np.ones(3, np.float32))


def photo(found, height=40.0):
    return PhotoResult(np.array(BOX), found, height, POINTS, np.ones(3, bool), "left")


def free(found):
    return PhotoResult(None, found, 0.0, np.zeros((0, 2)), np.zeros(0, bool), None)


def test_a_perfect_detector_is_perfect():
    found = figures([photo([ear()]), photo([ear()]), free([])], 0.5, [np.ones(3, bool)] * 2)
    assert (found.found, found.mean_iou, found.ap_50, found.map, found.side_accuracy) == (1, 1, 1, 1, 1)
    assert (found.nme_box, found.failures, found.ced_area, found.visibility_accuracy) == (0, 0, 1, 1)
    assert found.false_alarms == 0


def test_errors_are_shares_of_the_boxes_diagonal_and_of_the_landmarks_extent():
    found = figures([photo([ear(shift=2.0)])], 0.5)
    assert found.nme_box == pytest.approx(2 / 50)
    assert found.nme_size == pytest.approx(2 / 30)


def test_a_missed_ear_is_a_failure_and_no_zero_error():
    seen = [photo([ear()]), photo([])]
    found = figures(seen, 0.5)
    assert found.found == 0.5
    assert found.failures == 0.5
    assert found.nme_box == 0
    assert ced_curve(seen, 0.5)[-1] == 0.5


def test_an_uncertain_ear_is_not_found_but_counts_for_average_precision():
    found = figures([photo([ear(score=0.3)])], 0.5)
    assert (found.found, found.ap_50) == (0, 1)


def test_false_alarms_lower_precision_and_are_counted():
    found = figures([photo([ear(0.8)]), free([ear(0.9)]), free([])], 0.5)
    assert found.false_alarms == 0.5
    assert found.ap_50 == pytest.approx(0.5)


def test_the_operating_threshold_leaves_the_false_alarm_out():
    assert operating_threshold([photo([ear(0.8)]), free([ear(0.4)])]) == pytest.approx(0.8)


def test_figures_by_size_name_the_size():
    sizes = by_size([photo([ear()], 40), photo([ear()], 200)], 0.5)
    assert {name: found.ears for name, found in sizes.items()} == {"under 48 px": 1, "over 96 px": 1}


def test_what_is_found_is_compared_in_the_photos_own_pixels(photos):
    class Knows:
        """Finds what it was told, in the photo's pixels."""

        def find(self, squares, threshold=None):
            return [[ear(box=record.box)] for record in records]

    records = load_sources([photos]).val
    seen = detect_all(Knows(), records, batch=len(records))
    assert figures(seen, 0.5).mean_iou == pytest.approx(1)
    assert seen[0].height_px == pytest.approx(40 * 640 / max(read(records[0])[0].shape))
