"""Where the ear is in its crop: a small network that finds 17 landmarks in a grey picture and says how sure it is.

It regresses places (Zhang et al. 2014 do so for faces) with a Laplace likelihood, so that each landmark comes with the
error to expect of it (Kendall & Gal 2017). Knows nothing of similarities and embeddings, and sees no colour.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LANDMARKS = 17
INPUT_PX = 64
"""Side of what the network sees; a 128-px crop is averaged down to it."""
WIDTHS = (24, 32, 56, 96)
SQUEEZED = 32
MIN_SPREAD = 0.004
"""Least expected error of a landmark, as a share of the crop's side: keeps the likelihood finite."""


def standardise(grey: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1] -> (B, 2, H, W): the picture at zero mean and unit variance, and its local contrast."""
    centred = grey - grey.mean((2, 3), keepdim=True)
    whole = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-4).sqrt()
    rest = grey - _around(grey)
    local = rest / (_around(rest.square()) + 1e-4).sqrt()
    return torch.cat([whole, local], 1)


def _around(grey: Tensor) -> Tensor:
    """Mean of the 15 x 15 px around each pixel; edges repeated."""
    rows = F.avg_pool2d(F.pad(grey, (7, 7, 0, 0), mode="replicate"), (1, 15), stride=1)
    return F.avg_pool2d(F.pad(rows, (0, 0, 7, 7), mode="replicate"), (15, 1), stride=1)


class LandmarkNet(nn.Module):
    """Landmarks of an ear in a grey picture, each with its expected error."""

    def __init__(self) -> None:
        super().__init__()
        layers = _step(2, WIDTHS[0], 2, kernel=5)
        for number, (before, width) in enumerate(itertools.pairwise(WIDTHS)):
            layers += _step(before, width, 2 if number else 1)
            layers += _step(width, width, 1) if number else []
        cells = (INPUT_PX >> (len(WIDTHS) - 1)) ** 2
        self.body = nn.Sequential(*layers, nn.Conv2d(WIDTHS[-1], SQUEEZED, 1))
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(SQUEEZED * cells, 192), nn.ReLU(), nn.Linear(192, 3 * LANDMARKS)
        )

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, 64, 64) float32 in [0, 1] -> places (B, 17, 2) as shares of the side, spreads (B, 17) likewise."""
        out = self.head(self.body(standardise(grey))).float()
        places = 0.5 + 0.25 * out[:, : 2 * LANDMARKS].view(-1, LANDMARKS, 2)
        spreads = 0.06 * torch.exp(out[:, 2 * LANDMARKS :].clamp(-4, 4)) + MIN_SPREAD
        return places, spreads


def _step(before: int, width: int, stride: int, kernel: int = 3) -> list[nn.Module]:
    return [nn.Conv2d(before, width, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
