"""Whole heads and pictures without ears; slow, for whole heads are large."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.config import SynthConfig
from synth.head.assets import load_assets
from synth.head.relief import build_relief
from synth.head.template import build_template
from synth.people.shape import Sculptor
from synth.pictures.negatives import negative_of
from synth.pictures.scenes import scene_of

CONFIG = SynthConfig(assets=Path("unused"), out=Path("unused"), seed=11)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole_head(wheel: Path, cache: Path) -> Sculptor:
    template = build_template(load_assets(wheel, cache), close_up=False)
    return Sculptor(template, build_relief(template), None)


def test_every_vertex_of_the_left_ear_has_its_opposite(whole_head: Sculptor) -> None:
    template = whole_head.template
    there = template.opposite[template.landmarks]
    assert (there >= 0).all()
    np.testing.assert_allclose(template.mirrored[there], template.mirrored[template.landmarks], atol=2e-3)
    assert not template.left[there].any()


def test_a_scene_lists_its_ears_inside_the_picture(whole_head: Sculptor) -> None:
    ears = []
    for number in range(3):
        (picture,) = scene_of(whole_head, CONFIG, number)
        assert Image.open(io.BytesIO(picture.jpeg)).size == (640, 480)
        ears += picture.ears
    assert ears
    for ear in ears:
        assert 0 <= ear.box[0] < ear.box[2] <= 640
        assert ear.visible.sum() >= 5


def test_a_negative_has_no_ears(whole_head: Sculptor) -> None:
    kinds = set()
    for number in range(6):
        (picture,) = negative_of(whole_head, CONFIG, number)
        assert picture.ears == ()
        kinds.add(picture.facts["light"])
    assert len(kinds) > 1
