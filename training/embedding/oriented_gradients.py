"""What of an ear survives a camera: histograms of oriented gradients after local contrast normalisation.

Fixed layers, nothing here is learned. Dalal & Triggs 2005 for the histograms; smooth orientation bins instead of hard
ones, so that the graph needs no arc tangent. Values stay small enough for float16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ORIENTATIONS = 12
"""Directions of a gradient, dark to light counted apart from light to dark."""
SHARPNESS = 3
"""A bin answers to a gradient at angle a with cos(a) to the power 2 ** SHARPNESS."""
CELL_PX = 8
CONTRAST_PX = 17
"""Side of the neighbourhood whose mean and contrast are taken out."""
FLOOR = 4e-4
"""Least variance of a neighbourhood (grey in [0, 1]): below it is noise, not relief."""
CLIP = 0.4
"""Largest share of one bin in the energy around its cell."""


def mean_around(x: Tensor, side: int) -> Tensor:
    """Mean of the `side` x `side` values around each place, channel by channel; edges repeated."""
    reach = side // 2
    rows = F.avg_pool2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), (1, side), stride=1)
    return F.avg_pool2d(F.pad(rows, (0, 0, reach, reach), mode="replicate"), (side, 1), stride=1)


def local_contrast(grey: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1] -> the same at zero mean and unit variance in every neighbourhood."""
    rest = grey - mean_around(grey, CONTRAST_PX)
    return rest / (mean_around(rest * rest, CONTRAST_PX) + FLOOR).sqrt()


class OrientedCells(nn.Module):
    """Grey pictures -> cells of gradient histograms, normalised by the energy around them."""

    directions: Tensor
    taps: Tensor

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(ORIENTATIONS) * (2 * math.pi / ORIENTATIONS)
        self.register_buffer(
            "directions", torch.stack([angles.cos(), angles.sin()], 1)[:, :, None, None], persistent=False
        )
        ramp = 1 - (torch.arange(2 * CELL_PX) + 0.5 - CELL_PX).abs() / CELL_PX
        self.register_buffer("taps", (ramp / CELL_PX).expand(ORIENTATIONS, 1, 1, -1).clone(), persistent=False)

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) float in [0, 1], sides multiples of 8 px -> (B, 12, H / 8, W / 8) float in [0, CLIP]."""
        votes = self._votes(local_contrast(grey))
        half = CELL_PX // 2
        cells = F.conv2d(F.pad(votes, (half, half, half, half)), self.taps, stride=(1, CELL_PX), groups=ORIENTATIONS)
        cells = F.conv2d(cells, self.taps.transpose(2, 3), stride=(CELL_PX, 1), groups=ORIENTATIONS)
        energy = mean_around((cells * cells).sum(1, keepdim=True), 3)
        return (cells / (energy + 1e-3).sqrt()).clamp(max=CLIP)

    def _votes(self, relief: Tensor) -> Tensor:
        """Each pixel's gradient magnitude, shared among the directions it points in: (B, 12, H, W)."""
        padded = F.pad(relief, (1, 1, 1, 1), mode="replicate")
        across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        gradient = torch.cat([across, down], 1)
        size = ((gradient * gradient).sum(1, keepdim=True) + 1e-4).sqrt()
        share = F.conv2d(gradient / size, self.directions).clamp(min=0)
        for _ in range(SHARPNESS):
            share = share * share
        return size * share
