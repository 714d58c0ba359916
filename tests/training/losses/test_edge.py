"""Sobel derivatives against scipy."""

import numpy as np
import torch
from scipy import ndimage

from training.losses.edge import edge, sobel

KERNEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4


def test_sobel_equals_the_kernel_applied_by_hand():
    image = torch.randn(1, 1, 7, 9)
    across, down = sobel(image)
    plane = image[0, 0].numpy()
    np.testing.assert_allclose(across[0, 0], ndimage.correlate(plane, KERNEL)[1:-1, 1:-1], atol=1e-5)
    np.testing.assert_allclose(down[0, 0], ndimage.correlate(plane, KERNEL.T)[1:-1, 1:-1], atol=1e-5)


def test_edge_is_the_mean_difference_of_both_derivatives():
    first, second = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    expected = np.mean([(a - b).abs().mean() for a, b in zip(sobel(first), sobel(second), strict=True)])
    np.testing.assert_allclose(edge(first, second).item(), expected, rtol=1e-5)


def test_unit_step_gives_one():
    image = torch.zeros(1, 1, 5, 6)
    image[..., 3:] = 1
    across, down = sobel(image)
    assert across.max() == 1
    assert down.abs().max() == 0


def test_edge_ignores_a_change_of_brightness():
    image = torch.randn(1, 3, 8, 8)
    assert edge(image + 0.3, image) < 1e-6
