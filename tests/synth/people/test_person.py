"""People as numbers and as vertices."""

from __future__ import annotations

import numpy as np

from synth.people.appearance import draw_appearance
from synth.people.person import draw_shape
from synth.people.shape import Sculptor, plausible


def test_a_person_is_a_function_of_seed_and_subject() -> None:
    one, again, other = (draw_shape(7, subject, 0, 5, 40) for subject in (3, 3, 4))
    np.testing.assert_array_equal(one.ears["left"].modes, again.ears["left"].modes)
    assert one.face == again.face
    assert not np.allclose(one.ears["left"].modes, other.ears["left"].modes)


def test_two_ears_of_a_person_are_alike_but_not_equal() -> None:
    gaps, spreads = [], []
    for subject in range(20):
        ears = draw_shape(7, subject, 0, 5, 40).ears
        gaps.append(np.abs(ears["left"].modes - ears["right"].modes).mean())
        spreads.append(np.abs(ears["left"].modes).mean())
    assert 0 < np.mean(gaps) < 0.3 * np.mean(spreads)


def test_a_change_of_looks_leaves_the_shape_alone() -> None:
    shape = draw_shape(7, 3, 0, 5, 40)
    looks = [draw_appearance(np.random.default_rng(k), shape) for k in range(2)]
    assert not np.allclose(looks[0].skin, looks[1].skin)


def test_drawn_ears_are_plausible_and_differ(sculptor: Sculptor) -> None:
    shapes = [sculptor.draw(5, subject) for subject in range(3)]
    points = [sculptor.vertices(shape, "left") for shape in shapes]
    assert all(plausible(sculptor.template, p) for p in points)
    ear = sculptor.template.box_points
    ears = [p[ear] - p[ear].mean(0) for p in points]
    assert np.sqrt(((ears[0] - ears[1]) ** 2).sum(1).mean()) > 0.01


def test_a_new_antihelix_takes_its_landmarks_with_it(scan_sculptor: Sculptor) -> None:
    flattened = [scan_sculptor.draw(5, subject).ears["left"] for subject in range(12)]
    moved = [ear for ear in flattened if ear.flattening > 0.4]
    usual = scan_sculptor.template.landmarks
    assert any((scan_sculptor.landmarks(ear) != usual).any() for ear in moved)
    for ear in moved:
        at = scan_sculptor.template.rest[scan_sculptor.landmarks(ear)]
        assert np.linalg.norm(at - scan_sculptor.template.rest[usual], axis=1).max() < 0.12
