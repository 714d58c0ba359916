"""Cuts squares out of pictures inside the graph: antialiased, turned to left orientation, for the fine stage."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = (1, 2, 4)
"""The picture and its averages over 2 x 2 and 4 x 4 pixels."""


def zoom(images: Tensor, squares: Tensor, mirrored: Tensor, side: int) -> Tensor:
    """Resample squares of pictures bilinearly; edges are repeated beyond the picture.

    Args:
        images: (B, 3, H, H) float.
        squares: (B, N, 4) float, x1, y1, x2, y2 in pixels.
        mirrored: (B, N) float, 1 where left and right are to be swapped, else 0.
        side: of the result, pixels.

    Returns:
        (B, N, 3, side, side).
    """
    batch, count = squares.shape[:2]
    steps = (torch.arange(side, device=images.device, dtype=images.dtype) + 0.5) / side
    start, extent = squares[..., :2], squares[..., 2:] - squares[..., :2]
    flip = mirrored[..., None].to(images.dtype)
    along = steps * (1 - 2 * flip) + flip  # (B, N, side)
    across = (start[..., :1] + along * extent[..., :1]) * (2 / images.shape[-1]) - 1
    down = (start[..., 1:] + steps * extent[..., 1:]) * (2 / images.shape[-2]) - 1
    places = torch.stack(
        [across[:, :, None, :].expand(-1, -1, side, -1), down[:, :, :, None].expand(-1, -1, -1, side)], dim=4
    )
    # All squares of a picture below each other in one grid: the picture need not be repeated.
    grid = places.reshape(batch, count * side, side, 2)
    shrink = extent.amax(2) / side  # pixels of the picture for one of the result
    result = torch.zeros((), dtype=images.dtype, device=images.device)
    for number, level in enumerate(LEVELS):
        picture = F.avg_pool2d(images, level) if level > 1 else images
        cut = F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)
        cut = cut.reshape(batch, 3, count, side, side).transpose(1, 2)
        least = 0.0 if number == 0 else 0.75 * level
        most = 1.5 * level if number + 1 < len(LEVELS) else float("inf")
        chosen = ((shrink >= least) & (shrink < most)).to(images.dtype)
        result = result + cut * chosen[:, :, None, None, None]
    return result


def square_around(boxes: Tensor, context: float) -> Tensor:
    """(..., 4) boxes -> (..., 4) squares around their centres, `context` of the longer side added on each side."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = (boxes[..., 2:] - boxes[..., :2]).amax(-1, keepdim=True) * (0.5 + context)
    return torch.cat([centre - half, centre + half], dim=-1)
