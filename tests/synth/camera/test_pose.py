"""Where things appear."""

from __future__ import annotations

import numpy as np

from synth.camera.pose import make_camera

CENTRE = np.array([50.0, 60.0])


def test_the_side_view_shows_the_face_to_the_left_and_the_crown_above() -> None:
    camera = make_camera(0, 0, 0, 10, 100, CENTRE)
    np.testing.assert_allclose(camera.project(np.zeros(3)), [50, 60, 10])
    forward, up, out = camera.project(np.eye(3)[[2, 1, 0]] * 0.1)
    np.testing.assert_allclose(forward[:2], [40, 60])
    np.testing.assert_allclose(up[:2], [50, 50])
    assert out[2] < 10


def test_roll_turns_the_picture_about_its_centre() -> None:
    upright, rolled = (make_camera(0, 0, roll, 10, 100, CENTRE).project(np.array([0, 0.1, 0])) for roll in (0, 90))
    assert upright[1] < 60
    np.testing.assert_allclose(np.linalg.norm(rolled[:2] - CENTRE), 10)
    assert abs(rolled[1] - 60) < 1e-9


def test_yaw_of_90_degrees_looks_into_the_face() -> None:
    camera = make_camera(90, 0, 0, 10, 100, CENTRE)
    assert camera.project(np.array([0.0, 0.0, 1.0]))[2] < 10
    np.testing.assert_allclose(camera.position, [0, 0, 10], atol=1e-9)


def test_the_camera_stands_where_its_depth_is_zero() -> None:
    camera = make_camera(20, -10, 30, 7, 100, CENTRE)
    assert abs(camera.turn[2] @ camera.position + camera.distance) < 1e-9
