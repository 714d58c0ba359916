"""Structural similarity (Wang, Bovik, Sheikh & Simoncelli 2004) as a differentiable term.

The same numbers as `measure.picture.ssim`: an 11 x 11 Gaussian window of sigma 1.5, population covariances, only
windows that lie wholly inside the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def _window_matrix(length: int, device: torch.device) -> Tensor:
    """(length - 10, length): row i averages samples i to i + 10 with Gaussian weights."""
    offsets = torch.arange(WINDOW, device=device) - WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    matrix = torch.zeros(length - WINDOW + 1, length, device=device)
    rows = torch.arange(length - WINDOW + 1, device=device)[:, None]
    return matrix.scatter_(1, rows + torch.arange(WINDOW, device=device), (kernel / kernel.sum()).expand(len(rows), -1))


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Mean structural similarity of each pair of pictures.

    Args:
        first, second: (B, 3, H, W) float32 in [-1, 1], H and W at least 11.

    Returns:
        (B,) float32 in [-1, 1]; 1 for equal pictures.
    """
    x, y = (first + 1) / 2, (second + 1) / 2
    down = _window_matrix(x.shape[-2], x.device)
    across = _window_matrix(x.shape[-1], x.device).T
    # Windowed means as two matrix products: a depthwise convolution of one channel is far slower on a CPU.
    mean_x, mean_y, xx, yy, xy = (down @ moments @ across for moments in (x, y, x * x, y * y, x * y))
    var_x, var_y, cov = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * cov + C2) / (var_x + var_y + C2)
    return (luminance * structure).mean((1, 2, 3))


def ssim_loss(reconstruction: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM, averaged over the batch: 0 for equal pictures. Arguments as for `ssim`; returns a scalar."""
    return 1 - ssim(reconstruction, target).mean()
