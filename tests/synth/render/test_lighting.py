"""Lights."""

from __future__ import annotations

import numpy as np

from synth.render.lighting import KINDS, blackbody, draw_light, light_frame, sphere


def test_shares_of_the_kinds_sum_to_one() -> None:
    assert abs(sum(kind.share for kind in KINDS.values()) - 1) < 1e-9


def test_warm_light_is_red_and_cold_light_blue() -> None:
    warm, cold = blackbody(2800), blackbody(9000)
    assert warm[0] > warm[2]
    assert cold[2] > cold[0]
    assert abs(warm.mean() - 1) < 1e-9


def test_directions_are_spread_evenly() -> None:
    directions = sphere(200)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    assert np.abs(directions.mean(0)).max() < 0.02


def test_a_lights_frame_is_a_rotation_that_looks_along_it() -> None:
    for direction in np.random.default_rng(1).normal(size=(10, 3)):
        frame = light_frame(direction)
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)
        assert frame[2] @ direction < 0


def test_surroundings_are_positive_and_a_function_of_the_generator() -> None:
    one, again = (draw_light(np.random.default_rng(5)) for _ in range(2))
    seen = one.surroundings(sphere(50))
    assert (seen > 0).all()
    np.testing.assert_array_equal(seen, again.surroundings(sphere(50)))
