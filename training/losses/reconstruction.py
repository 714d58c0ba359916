"""Pixel differences: the plain L1 term and the centre-weighted one."""

from __future__ import annotations

import torch
from torch import Tensor

CENTER_SIGMA = 0.3
"""Width of the centre weight, as a share of the crop's side: weight 0.25 at the middle of an edge, 0.06 in a corner."""


def l1(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference. Both (B, 3, H, W) float32 in [-1, 1]; returns a scalar in [0, 2]."""
    return (reconstruction - target).abs().mean()


def center_weights(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """A Gaussian around the centre of the crop, scaled to mean 1. Returns (H, W) float32."""
    rows, columns = (
        torch.exp(-0.5 * (((torch.arange(n, device=device) + 0.5) / n - 0.5) / CENTER_SIGMA) ** 2)
        for n in (height, width)
    )
    weights = rows[:, None] * columns[None, :]
    return weights / weights.mean()


def center(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference with smoothly more weight at the centre, where the ear is and the background is not.

    Both (B, 3, H, W) float32 in [-1, 1]; returns a scalar in [0, 2]: `l1`, where the error is even.
    """
    weights = center_weights(target.shape[-2], target.shape[-1], target.device)
    return ((reconstruction - target).abs() * weights).mean()
