"""Noise that stays where it is."""

from __future__ import annotations

import numpy as np

from synth.render.noise import noise, noise_at, slope, spots


def test_noise_stays_within_its_range_and_is_not_flat() -> None:
    points = np.random.default_rng(1).normal(size=(4000, 3))
    values = noise_at(points, 10.0, 3)
    assert -1 <= values.min() < -0.5
    assert 0.5 < values.max() <= 1
    np.testing.assert_array_equal(values, noise_at(points, 10.0, 3))
    assert np.abs(values - noise_at(points, 10.0, 4)).mean() > 0.1


def test_slope_is_the_derivative_of_noise() -> None:
    e = 1e-5
    for x, y, z in np.random.default_rng(2).uniform(-5, 5, (20, 3)):
        gradient = slope(x, y, z, 9)
        expected = [
            (noise(x + e, y, z, 9) - noise(x - e, y, z, 9)) / (2 * e),
            (noise(x, y + e, z, 9) - noise(x, y - e, z, 9)) / (2 * e),
            (noise(x, y, z + e, 9) - noise(x, y, z - e, 9)) / (2 * e),
        ]
        np.testing.assert_allclose(gradient, expected, atol=1e-4)


def test_denser_spots_cover_more() -> None:
    points = np.random.default_rng(3).uniform(0, 20, (3000, 3))
    few, many = (np.mean([spots(x, y, z, d, 5) for x, y, z in points]) for d in (0.05, 0.5))
    assert 0 < few < many < 1
