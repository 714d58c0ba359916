"""From landmarks to a similarity (turn, scale, shift), and a picture seen through it.

Closed form, exportable: sums, `affine_grid`, `grid_sample`. Places are x, y in [-1, 1] across a picture, as
`affine_grid` has them; a similarity is (B, 2, 3) and takes a place of the aligned picture to its place in the crop.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def similarity(places: Tensor, mean_ear: Tensor, weights: Tensor) -> Tensor:
    """The similarity that takes the mean ear to `places`: weighted least squares (Umeyama 1991, in two dimensions).

    Args:
        places: (B, K, 2) in the crop.
        mean_ear: (K, 2) in the aligned picture.
        weights: (B, K), positive.

    Returns:
        (B, 2, 3).
    """
    share = (weights / weights.sum(1, keepdim=True))[..., None]
    middle = (share * places).sum(1, keepdim=True)
    origin = (share * mean_ear).sum(1, keepdim=True)
    target, source = places - middle, mean_ear - origin
    power = (share * source * source).sum((1, 2)) + 1e-4
    cos = (share * target * source).sum((1, 2)) / power
    cross = target[..., 1] * source[..., 0] - target[..., 0] * source[..., 1]
    sin = (share[..., 0] * cross).sum(1) / power
    matrix = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    shift = middle - origin @ matrix.transpose(1, 2)
    return torch.cat([matrix, shift.transpose(1, 2)], 2)


def through(theta: Tensor, places: Tensor) -> Tensor:
    """Places (B, K, 2) of the aligned picture -> places of the crop."""
    return places @ theta[:, :, :2].transpose(1, 2) + theta[:, None, :, 2]


def within(theta: Tensor, places: Tensor) -> Tensor:
    """Places (B, K, 2) of the crop -> places of the aligned picture: `through` undone."""
    cos, sin = theta[:, 0, :1], theta[:, 1, :1]
    x, y = places[..., 0] - theta[:, 0, 2:], places[..., 1] - theta[:, 1, 2:]
    power = cos * cos + sin * sin + 1e-4
    return torch.stack([cos * x + sin * y, cos * y - sin * x], 2) / power[..., None]


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """`inner` first, then `outer`: (B, 2, 3) each; either may have a batch of 1."""
    matrix = outer[:, :, :2] @ inner[:, :, :2]
    return torch.cat([matrix, outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]], 2)


def warp(grey: Tensor, theta: Tensor, height: int, width: int) -> Tensor:
    """Picture (B, 1, H, W) seen through `theta`: (B, 1, height, width); beyond its edge, its edge pixels."""
    grid = F.affine_grid(theta, [theta.shape[0], 1, height, width], align_corners=False)
    return F.grid_sample(grey, grid, mode="bilinear", padding_mode="border", align_corners=False)
