"""The two heads of the detector: a pyramid that finds ears, and one that describes a framed ear."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.blocks import GridPool, SpatialSoftmax

UNIT_PX = 64.0
"""Offsets and sizes of the coarse stage are in units of this many pixels of the letterbox."""
HEAT_SIDE = 32
"""Least side of the fine stage's heat maps."""
RARE = -4.0
"""Where the coarse stage's heat starts: nearly no cell holds an ear."""


class Coarse(NamedTuple):
    """The coarse stage: one value a cell of the grid."""

    heat: Tensor
    """(B, G, G) logits: the centre of an ear is here."""
    offset: Tensor
    """(B, 2, G, G) from the cell's centre to the ear's, in `UNIT_PX`."""
    size: Tensor
    """(B, 2, G, G) natural log of width and height in `UNIT_PX`."""
    side: Tensor
    """(B, G, G) logits: it is a right ear."""


class Fine(NamedTuple):
    """The fine stage at M squares; places are shares of the square's side."""

    heat: Tensor
    """(M, K, H, H) logits of the landmarks' heat maps."""
    points: Tensor
    """(M, K, 2) x, y, expected places of the heat (soft-argmax)."""
    visible: Tensor
    """(M, K) logits."""
    box: Tensor
    """(M, 4) centre x, y and natural log of width, height."""
    mirrored: Tensor
    """(M,) logits: it is the mirror image of a left ear."""
    ear: Tensor
    """(M,) logits: it is an ear at all."""


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, group norm (batches of whole pictures are too small for batch norm), ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(8, out_channels),
        nn.ReLU(inplace=True),
    )


class CoarseStage(nn.Module):
    """Features -> a heat map of ear centres with box and side at each (Zhou et al. 2019, "Objects as Points").

    A small pyramid (Lin et al. 2017) lets a cell know of the whole picture, though SAM's windows do not.
    """

    def __init__(self, in_channels: int, channels: int, depth: int = 3) -> None:
        super().__init__()
        self.stem = conv(in_channels, channels)
        self.down = nn.ModuleList(
            nn.Sequential(conv(channels, channels, stride=2), conv(channels, channels)) for _ in range(depth)
        )
        self.up = nn.ModuleList(conv(channels, channels) for _ in range(depth))
        self.to_cells = nn.Conv2d(channels, 6, 1)
        nn.init.normal_(self.to_cells.weight, std=1e-2)
        assert self.to_cells.bias is not None  # as the layer was made
        nn.init.zeros_(self.to_cells.bias)
        nn.init.constant_(self.to_cells.bias[:1], RARE)

    def forward(self, features: Tensor) -> Coarse:
        """(B, C, G, G) -> cells, float32."""
        levels = [self.stem(features)]
        for step in self.down:
            levels.append(step(levels[-1]))
        top = levels.pop()
        for step in self.up:
            below = levels.pop()
            top = step(below + F.interpolate(top, size=below.shape[-2:], mode="nearest"))
        cells = self.to_cells(top).float()
        return Coarse(cells[:, 0], cells[:, 1:3], cells[:, 3:5], cells[:, 5])


class FineStage(nn.Module):
    """Features of a square -> landmarks by soft-argmax, visibility, box, orientation, and whether it is an ear.

    Args:
        sam_channels, block_channels: of the two feature maps.
        grid: side of SAM's map; the blocks' map is brought to it.
        channels: of the head.
        landmarks: K.
    """

    def __init__(self, sam_channels: int, block_channels: int, grid: int, channels: int, landmarks: int) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.join = conv(sam_channels + block_channels, channels)
        raising: list[nn.Module] = []
        while grid < HEAT_SIDE:
            raising += [nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)]
            raising += [nn.GroupNorm(8, channels), nn.ReLU(inplace=True)]
            grid *= 2
        self.raising = nn.Sequential(*raising)
        self.keypoints = SpatialSoftmax(channels, landmarks)
        self.pool = GridPool(grid, 4)
        self.read = nn.Sequential(nn.Linear(channels * 16 + 2 * landmarks, 256), nn.ReLU(inplace=True))
        self.to_outputs = nn.Linear(256, landmarks + 6)
        nn.init.normal_(self.to_outputs.weight, std=1e-2)
        nn.init.zeros_(self.to_outputs.bias)

    def forward(self, sam: Tensor, blocks: Tensor, expected_size: float) -> Fine:
        """What is seen.

        Args:
            sam: (M, C, G, G).
            blocks: (M, C', G', G').
            expected_size: natural log of a box's usual share of the square, where predictions start.
        """
        if blocks.shape[-1] != sam.shape[-1]:
            blocks = F.interpolate(blocks, size=sam.shape[-2:], mode="bilinear", align_corners=False)
        features = self.raising(self.join(torch.cat([sam, blocks.to(sam.dtype)], dim=1)))
        heat, points = self.keypoints(features)
        summary = torch.cat([self.pool(features).flatten(1), (4 * points - 2).flatten(1).to(features.dtype)], dim=1)
        outputs = self.to_outputs(self.read(summary)).float()
        visible, box, rest = outputs.split([self.landmarks, 4, 2], dim=1)
        start = torch.tensor([0.5, 0.5, expected_size, expected_size], device=outputs.device)
        return Fine(heat, points, visible, start + box / 4, rest[:, 0], rest[:, 1])
