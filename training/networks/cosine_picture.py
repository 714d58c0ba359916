"""The picture as its lowest cosine frequencies: a linear path from crop to latent and back without a matrix of axes.

A two-dimensional discrete cosine transform (Ahmed, Natarajan & Rao 1974) of luma and chroma (ITU-R BT.601), cut to so
many frequencies. Unlike principal components it owes nothing to the training pictures but the scale of each latent, so
that it carries as much of a photograph as of a render. Knows no network.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.networks.linear_picture import BT601, LATENT_STD

CHROMA_SHARE = 0.0375
"""Of the numbers, for each of the two chroma planes; luma has the rest."""
REACH_ACROSS = 1.2
"""An ear stands: its picture changes faster across than down, so frequencies across reach so much higher."""


class CosinePicture(nn.Module):
    """(B, 3, S, S) RGB <-> (B, V) cosine coefficients: luma's lowest frequencies first, then each chroma plane's.

    Args:
        values: V, how many coefficients; at least 8.
        size: S, px.
    """

    colour: Tensor
    to_rgb: Tensor
    cosines: Tensor
    chosen: Tensor
    places: Tensor

    def __init__(self, values: int, size: int) -> None:
        super().__init__()
        self.values = values
        chroma = max(1, int(CHROMA_SHARE * values))
        self.counts = (values - 2 * chroma, chroma, chroma)
        self.side = min(size, 2 + math.ceil(math.sqrt(4 * self.counts[0] * REACH_ACROSS / math.pi)))
        colour = torch.tensor(BT601)
        orders = (_order(self.counts[0], self.side, REACH_ACROSS), *[_order(chroma, self.side, 1.0)] * 2)
        # Nothing is learnt or saved: all follows from the shape.
        self.register_buffer("colour", colour, persistent=False)
        self.register_buffer("to_rgb", torch.linalg.inv(colour), persistent=False)
        self.register_buffer("cosines", _cosines(size)[: self.side], persistent=False)
        planes = [number * self.side**2 + order for number, order in enumerate(orders)]
        chosen = torch.cat(planes)
        places = torch.full((3 * self.side**2,), values)  # where no coefficient is kept: the zero after the last
        places[chosen] = torch.arange(values)
        self.register_buffer("chosen", chosen, persistent=False)
        self.register_buffer("places", places, persistent=False)

    def reduce(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) float32 in [-1, 1] -> (B, V) float32."""
        planes = torch.einsum("ij,njhw->nihw", self.colour, images)
        return (self.cosines @ planes @ self.cosines.T).flatten(1)[:, self.chosen]

    def enlarge(self, vector: Tensor) -> Tensor:
        """(B, V) float32 -> (B, 3, S, S) float32: the picture that has these coefficients and no others."""
        padded = torch.cat([vector, torch.zeros_like(vector[:, :1])], dim=1)
        planes = padded[:, self.places].reshape(-1, 3, self.side, self.side)
        return torch.einsum("ij,njhw->nihw", self.to_rgb, self.cosines.T @ planes @ self.cosines)


class Scales(nn.Module):
    """Mean and spread of every value, fitted in closed form: what `Components` is, without axes.

    Args:
        values: V.
    """

    def __init__(self, values: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(values), requires_grad=False)
        self.std = nn.Parameter(torch.ones(values), requires_grad=False)

    def read(self, vector: Tensor) -> Tensor:
        """(B, V) -> (B, V): each of standard deviation `LATENT_STD` over what was fitted."""
        return (vector - self.mean) * (LATENT_STD / self.std)

    def draw(self, coefficients: Tensor) -> Tensor:
        """(B, V) -> (B, V): what `read` read."""
        return self.mean + coefficients * (self.std / LATENT_STD)

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Take mean and spread of (N, V) vectors."""
        self.mean.copy_(vectors.double().mean(0))
        self.std.copy_(vectors.double().std(0, correction=0).clamp(min=1e-4))


def _cosines(size: int) -> Tensor:
    """(S, S): the orthonormal cosine transform, one frequency a row."""
    frequency = torch.arange(size, dtype=torch.float64)[:, None]
    place = torch.arange(size, dtype=torch.float64)[None] + 0.5
    matrix = torch.cos(math.pi / size * frequency * place) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def _order(count: int, side: int, reach: float) -> Tensor:
    """(count,) places in a (side, side) plane of frequencies, lowest first; across they count `reach` times lower."""
    steps = torch.arange(side, dtype=torch.float64)
    cost = steps[:, None] ** 2 + (steps[None] / reach) ** 2
    return cost.flatten().argsort(stable=True)[:count]
