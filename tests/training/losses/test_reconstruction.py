"""L1 and the centre-weighted term, by hand."""

import numpy as np
import pytest
import torch

from training.losses.reconstruction import CENTER_SIGMA, center, center_weights, l1


def test_l1_is_the_mean_absolute_difference():
    first, second = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    second[0] = -1.5
    assert l1(first, second) == pytest.approx(1.0)


def test_center_weights_are_the_gaussian_by_hand():
    weights = center_weights(6, 8).numpy()
    expected = np.empty((6, 8))
    for i in range(6):
        for j in range(8):
            y, x = (i + 0.5) / 6 - 0.5, (j + 0.5) / 8 - 0.5
            expected[i, j] = np.exp(-(x * x + y * y) / (2 * CENTER_SIGMA**2))
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-5)


def test_center_equals_l1_for_an_even_error():
    first = torch.rand(2, 3, 16, 16)
    assert center(first, first + 0.25).item() == pytest.approx(0.25, rel=1e-5)


def test_center_counts_an_error_in_the_middle_more_than_one_in_a_corner():
    target = torch.zeros(1, 3, 16, 16)
    middle, corner = target.clone(), target.clone()
    middle[..., 7:9, 7:9] = 1
    corner[..., :2, :2] = 1
    assert center(middle, target) > 8 * center(corner, target)
    assert l1(middle, target) == l1(corner, target)
