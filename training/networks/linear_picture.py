"""A small picture as a vector, and its principal components: the linear path from crop to latent and back.

The vector holds a reduced luma plane and coarser chroma planes (ITU-R BT.601, as in JPEG), since colour varies more
slowly than light. Enlarging is two matrix products a plane, the same everywhere a graph may run. Knows no network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHROMA_STEP = 4
"""Chroma planes have so many times fewer samples along a side than luma."""
CHROMA_WEIGHT = 2.0
"""Of chroma in the vector, so that principal components do not forget it beside sixteen times as much luma."""
LATENT_STD = 0.2
"""Of a latent that holds a component: below the learned ones, so that search and eigenears are theirs."""
BT601 = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


class SmallPicture(nn.Module):
    """(B, 3, S, S) RGB <-> (B, V): C x C luma and two C/4 x C/4 chroma planes, V = C^2 + 2 (C/4)^2.

    Args:
        side: C, samples; divides `size`, and 4 divides it.
        size: S, px.
    """

    colour: Tensor
    to_rgb: Tensor
    grow_luma: Tensor
    grow_chroma: Tensor

    def __init__(self, side: int, size: int) -> None:
        super().__init__()
        self.side, self.chroma_side = side, side // CHROMA_STEP
        self.values = side**2 + 2 * self.chroma_side**2
        colour = torch.tensor(BT601)
        # Neither is learnt nor saved: they follow from the shape.
        self.register_buffer("colour", colour, persistent=False)
        self.register_buffer("to_rgb", torch.linalg.inv(colour), persistent=False)
        self.register_buffer("grow_luma", _enlarging(side, size), persistent=False)
        self.register_buffer("grow_chroma", _enlarging(self.chroma_side, size), persistent=False)

    def reduce(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) float32 in [-1, 1] -> (B, V) float32: every sample the mean of its square of pixels."""
        step = images.shape[-1] // self.side
        small = torch.einsum("ij,njhw->nihw", self.colour, F.avg_pool2d(images, step))
        chroma = F.avg_pool2d(small[:, 1:], CHROMA_STEP)
        return torch.cat([small[:, :1].flatten(1), CHROMA_WEIGHT * chroma.flatten(1)], dim=1)

    def enlarge(self, vector: Tensor) -> Tensor:
        """(B, V) float32 -> (B, 3, S, S) float32, bicubic."""
        luma, chroma = vector[:, : self.side**2], vector[:, self.side**2 :]
        light = self.grow_luma @ luma.reshape(-1, 1, self.side, self.side) @ self.grow_luma.T
        tints = chroma.reshape(-1, 2, self.chroma_side, self.chroma_side) / CHROMA_WEIGHT
        tints = self.grow_chroma @ tints @ self.grow_chroma.T
        return torch.einsum("ij,njhw->nihw", self.to_rgb, torch.cat([light, tints], dim=1))


class Components(nn.Module):
    """Principal components of vectors (Pearson 1901): fitted in closed form, never by gradients.

    Args:
        values: V.
        rank: R, how many components.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, values: int, rank: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(values), requires_grad=False)
        self.axes = nn.Parameter(F.normalize(torch.randn(values, rank), dim=0), requires_grad=False)
        self.std = nn.Parameter(torch.ones(rank), requires_grad=False)

    def read(self, vector: Tensor) -> Tensor:
        """(B, V) -> (B, R): coefficients, each of standard deviation `LATENT_STD` over what was fitted."""
        return (vector - self.mean) @ (self.axes * (LATENT_STD / self.std))

    def draw(self, coefficients: Tensor) -> Tensor:
        """(B, R) -> (B, V): what `read` read, as near as R components come."""
        return self.mean + coefficients @ (self.axes * (self.std / LATENT_STD)).T

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Take the components of (N, V) vectors. Those that N vectors cannot have stay silent in `draw`."""
        mean = vectors.double().mean(0)
        centred = vectors.double() - mean
        variance, axes = torch.linalg.eigh(centred.T @ centred / len(vectors))
        rank = self.axes.shape[1]
        kept = min(rank, len(vectors) - 1)
        self.mean.copy_(mean)
        self.axes.copy_(axes.flip(1)[:, :rank])
        self.std.copy_(variance.flip(0)[:rank].clamp(min=1e-8).sqrt())
        self.axes[:, kept:] = 0


def _enlarging(side: int, size: int) -> Tensor:
    """(size, side): bicubic interpolation of `side` samples, edges repeated, as a matrix."""
    impulses = torch.eye(side)[:, None, :, None].expand(-1, 1, -1, 4)
    return F.interpolate(impulses, size=(size, 4), mode="bicubic", align_corners=False)[:, 0, :, 0].T.contiguous()
