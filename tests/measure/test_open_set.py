"""Open-set figures: known people are found, strangers are turned away."""

import numpy as np
import pytest

from measure.errors import MeasureError
from measure.open_set import open_set

GALLERY = ["ann", "ben", "cat", "dan"]  # ann and cat are enrolled


def _similarity(rows):
    return np.array(rows, dtype=np.float64)


def test_strangers_set_the_threshold_and_the_others_must_pass_it():
    queries = ["ann", "cat", "ben", "dan"]
    similarity = _similarity([[0.9, 0, 0.1, 0], [0.2, 0, 0.5, 0], [0.6, 1, 0.1, 0], [0.3, 0, 0.2, 1]])
    found = open_set(similarity, queries, GALLERY, rates=(0.0, 0.5, 1.0))
    assert found.dir_at_fpir[0.0] == 0.5  # above 0.6, the best stranger: only ann
    assert found.dir_at_fpir[0.5] == 1.0  # one stranger of two may pass: above 0.3 lie both
    assert found.dir_at_fpir[1.0] == 1.0
    assert (found.enrolled, found.strangers) == (2, 2)


def test_wrong_match_does_not_count_however_high():
    similarity = _similarity([[0.1, 0, 0.9, 0], [0.0, 0, 0.1, 0]])
    assert open_set(similarity, ["ann", "ben"], GALLERY, rates=(1.0,)).dir_at_fpir[1.0] == 0.0


def test_strangers_columns_are_not_searched():
    similarity = _similarity([[0.5, 0.99, 0.1, 0.99], [0.0, 1, 0.1, 0]])
    assert open_set(similarity, ["ann", "ben"], GALLERY, rates=(0.0,)).dir_at_fpir[0.0] == 1.0


def test_one_identity_is_no_open_set():
    with pytest.raises(MeasureError, match="some outside"):
        open_set(_similarity([[1.0]]), ["ann"], ["ann"])
