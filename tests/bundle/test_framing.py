"""The framing rule as data, and the boxes that it refuses."""

from __future__ import annotations

import json
import math

import pytest

from bundle.errors import BadBox, ManifestError
from bundle.framing import Framing, check_box, square


def test_the_rule_survives_json() -> None:
    framing = Framing(size_px=96, margin=0.25)
    assert Framing.from_dict(json.loads(json.dumps(framing.to_dict()))) == framing


@pytest.mark.parametrize(
    "values",
    [{"size_px": 8}, {"margin": -0.1}, {"pad": "zero"}, {"resample": "nearest"}, {"alpha_grey": 300}, {"x": 1}],
)
def test_an_unknown_rule_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ManifestError, match=next(iter(values))):
        Framing.from_dict(values)


def test_the_square_grows_by_the_margin_on_each_side_of_the_longer_edge() -> None:
    assert square((10, 20, 30, 60), 100, 100, 0.10) == pytest.approx((-4, 16, 44, 64))
    assert square(None, 100, 40, 0.10) == (0, -30, 100, 70)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((10, 10, 10, 20), "empty or reversed"),
        ((20, 10, 10, 20), "empty or reversed"),
        ((math.nan, 0, 10, 10), "finite numbers"),
        ((0, 0, math.inf, 10), "finite numbers"),
        ((0.1, 0.2, 0.9, 0.8), "not in fractions"),
        ((200, 0, 300, 50), "wholly outside the picture of 100x80 px"),
        ((0, 0, 1e9, 1e9), "mostly outside"),
        ((1, 2, 3), "x1, y1, x2, y2"),
        ((1, 2, None, 4), "x1, y1, x2, y2"),
        (("a", 2, 3, 4), "x1, y1, x2, y2"),
    ],
)
def test_a_box_that_frames_nothing_is_refused_with_the_reason(box, words: str) -> None:
    with pytest.raises(BadBox, match=words):
        check_box(box, 100, 80)


def test_a_box_partly_outside_is_kept_as_it_is() -> None:
    assert check_box((-20, -10, 50, 60), 100, 80) == (-20.0, -10.0, 50.0, 60.0)
