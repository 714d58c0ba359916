"""SSIM against scikit-image."""

import numpy as np
import torch
from skimage.metrics import structural_similarity

from training.losses.ssim import ssim, ssim_loss


def _pictures():
    rng = np.random.default_rng(3)
    smooth = rng.uniform(0, 1, (3, 3, 8, 8)).repeat(5, 2).repeat(6, 3)  # 40 x 48
    noisy = np.clip(smooth + rng.normal(0, 0.1, smooth.shape), 0, 1)
    return smooth.astype(np.float32), noisy.astype(np.float32)


def test_ssim_equals_scikit_image():
    first, second = _pictures()
    expected = [
        structural_similarity(
            a, b, data_range=1.0, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(first, second, strict=True)
    ]
    ours = ssim(torch.from_numpy(first) * 2 - 1, torch.from_numpy(second) * 2 - 1)
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-5)


def test_ssim_of_a_picture_with_itself_is_one():
    first, _ = _pictures()
    image = torch.from_numpy(first) * 2 - 1
    torch.testing.assert_close(ssim(image, image), torch.ones(3))
    assert abs(ssim_loss(image, image).item()) < 1e-5


def test_ssim_loss_has_a_gradient_that_improves_it():
    first, second = (torch.from_numpy(p) * 2 - 1 for p in _pictures())
    moving = second.clone().requires_grad_()
    before = ssim_loss(moving, first)
    before.backward()
    assert moving.grad is not None
    assert ssim_loss(second - 5 * moving.grad, first) < before
