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
FINE_CELL_PX, FINE_CLIP, FINE_ENERGY_CELLS = 4, 0.6, 5
"""The same of cells half as large, and over how many of them in a row the energy is taken."""


def mean_around(x: Tensor, side: int) -> Tensor:
    """Mean of the `side` x `side` values around each place, channel by channel; edges repeated."""
    reach = side // 2
    rows = F.avg_pool2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), (1, side), stride=1)
    return F.avg_pool2d(F.pad(rows, (0, 0, reach, reach), mode="replicate"), (side, 1), stride=1)


def local_contrast(grey: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1] -> the same at zero mean and unit variance in every neighbourhood."""
    rest = grey - mean_around(grey, CONTRAST_PX)
    return rest / (mean_around(rest * rest, CONTRAST_PX) + FLOOR).sqrt()


class Votes(nn.Module):
    """Each pixel's gradient magnitude, shared among the directions it points in."""

    directions: Tensor

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(ORIENTATIONS) * (2 * math.pi / ORIENTATIONS)
        self.register_buffer(
            "directions", torch.stack([angles.cos(), angles.sin()], 1)[:, :, None, None], persistent=False
        )

    def forward(self, grey: Tensor) -> Tensor:
        """(B, 1, H, W) float in [0, 1] -> (B, 12, H, W), after local contrast normalisation."""
        padded = F.pad(local_contrast(grey), (1, 1, 1, 1), mode="replicate")
        across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        gradient = torch.cat([across, down], 1)
        size = ((gradient * gradient).sum(1, keepdim=True) + 1e-4).sqrt()
        share = F.conv2d(gradient / size, self.directions).clamp(min=0)
        for _ in range(SHARPNESS):
            share = share * share
        return size * share


class OrientedCells(nn.Module):
    """Votes -> cells of gradient histograms, normalised by the energy around them.

    Args:
        cell_px: side of a cell.
        energy_cells: side of the neighbourhood whose energy is taken, in cells.
        clip: largest share of one bin in that energy.
    """

    taps: Tensor

    def __init__(self, cell_px: int = CELL_PX, energy_cells: int = 3, clip: float = CLIP) -> None:
        super().__init__()
        self.cell_px, self.energy_cells, self.clip = cell_px, energy_cells, clip
        ramp = 1 - (torch.arange(2 * cell_px) + 0.5 - cell_px).abs() / cell_px
        self.register_buffer("taps", (ramp / cell_px).expand(ORIENTATIONS, 1, 1, -1).clone(), persistent=False)

    def forward(self, votes: Tensor) -> Tensor:
        """(B, 12, H, W), sides multiples of the cell's -> (B, 12, H / cell, W / cell) float in [0, clip]."""
        half, side = self.cell_px // 2, self.cell_px
        cells = F.conv2d(F.pad(votes, (half, half, half, half)), self.taps, stride=(1, side), groups=ORIENTATIONS)
        cells = F.conv2d(cells, self.taps.transpose(2, 3), stride=(side, 1), groups=ORIENTATIONS)
        energy = mean_around((cells * cells).sum(1, keepdim=True), self.energy_cells)
        return (cells / (energy + 1e-3).sqrt()).clamp(max=self.clip)


def fine_cells() -> OrientedCells:
    """Those that `IdentityNet` sees."""
    return OrientedCells(FINE_CELL_PX, FINE_ENERGY_CELLS, FINE_CLIP)
