"""Real close-ups, small ones."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.config import SynthConfig
from synth.people.shape import Sculptor
from synth.pictures.crops import crops_of
from synth.pictures.picture import Picture

CONFIG = SynthConfig(assets=Path("unused"), out=Path("unused"), per_subject=3, size=64, seed=11)


@pytest.fixture(scope="module")
def pictures(sculptor: Sculptor) -> list[Picture]:
    return [picture for number in range(3) for picture in crops_of(sculptor, CONFIG, number)]


def test_pictures_have_the_asked_size_and_are_not_flat(pictures: list[Picture]) -> None:
    for picture in pictures:
        image = np.asarray(Image.open(io.BytesIO(picture.jpeg)).convert("RGB"))
        assert image.shape == (64, 64, 3)
        assert image.std() > 3


def test_landmarks_lie_in_their_box_and_the_box_in_the_picture(pictures: list[Picture]) -> None:
    for picture in pictures:
        (ear,) = picture.ears
        x1, y1, x2, y2 = ear.box
        assert 0 <= x1 < x2 <= 64
        assert 0 <= y1 < y2 <= 64
        seen = ear.landmarks[ear.visible == 1]
        assert ((seen >= np.array([x1, y1]) - 3) & (seen <= np.array([x2, y2]) + 3)).all()


def test_left_ears_face_left_and_right_ears_right(pictures: list[Picture]) -> None:
    for picture in pictures:
        if abs(float(picture.facts["roll"])) < 30 and abs(float(picture.facts["yaw"])) < 35:
            (ear,) = picture.ears
            tragus, rim = ear.landmarks[12], ear.landmarks[5]
            assert (tragus[0] < rim[0]) == (ear.side == "left")


def test_a_picture_is_the_same_whoever_came_before(sculptor: Sculptor, pictures: list[Picture]) -> None:
    again = crops_of(sculptor, CONFIG, 2)
    assert [picture.jpeg for picture in again] == [picture.jpeg for picture in pictures[6:]]


def test_random_appearance_draws_hair_anew_for_every_picture(sculptor: Sculptor) -> None:
    anew = replace(CONFIG, appearance="random")
    styles = {str(picture.facts["style"]) for k in range(3) for picture in crops_of(sculptor, anew, k)}
    assert len(styles) > 1
