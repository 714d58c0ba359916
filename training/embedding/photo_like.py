"""Rendered ears -> crops as cameras and hands cut them: turned, tight, small, grey, shaded, covered, compressed.

Works on batches of grey pictures with landmarks; mirrors nothing, keeps identity. Knows neither models nor files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.embedding.photo_faults import cover, degrade, shade

SIZE_PX = 128
"""Side of the crops that are made, pixels: the size of the model's input."""
OUTER = (0.08, 0.06, 0.05, 0.03)
"""What an ear's box adds to its landmarks' hull on the left, top, right and bottom, as shares of the hull."""


@dataclass(frozen=True)
class PhotoLike:
    """How far the augmentation goes."""

    rotation_deg: float = 16.0
    """Standard deviation of the turn in the picture plane; turns end at `rotation_max_deg`."""
    rotation_max_deg: float = 48.0
    stretch: float = 0.08
    """Standard deviation of the natural log of height over width: yaw that the renders lack."""
    shear: float = 0.05
    tight: float = 0.5
    """Share of pictures that end at the ear's edges; what lies beyond is their edge pixels, repeated."""
    cut: tuple[float, float] = (-0.10, 0.20)
    """Margins of a tight picture on each side, as shares of the ear's box; below zero cuts the ear."""
    loose: float = 0.07
    """Standard deviation of the margins of a detected box, as a share of it."""
    photometric: bool = True


class Crops(NamedTuple):
    """A batch of photo-like crops."""

    grey: Tensor
    """(B, 1, 128, 128) float32 in [0, 1]."""
    landmarks: Tensor
    """(B, K, 2) float32 x, y as shares of the crop's side; may lie outside [0, 1]."""


def photo_like(images: Tensor, landmarks: Tensor, strength: PhotoLike, random: torch.Generator) -> Crops:
    """One photo-like crop of each rendered picture.

    Args:
        images: (B, S, S, 3) uint8 RGB with room around the ear, left orientation.
        landmarks: (B, K, 2) float32 x, y, pixels of `images`.
        strength: how far it goes.
        random: the source of all chance.
    """
    mixed = _grey(images, random)
    grid, moved = _cut(landmarks, images.shape[1], strength, random)
    grey = F.grid_sample(mixed, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if strength.photometric:
        grey = degrade(cover(shade(grey, random), random), random)
    return Crops(grey, moved)


def _grey(images: Tensor, random: torch.Generator) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 1, S, S) in [0, 1], each picture with its own mixture of the colours."""
    luma = torch.tensor([0.299, 0.587, 0.114])
    weights = luma * torch.exp(0.6 * torch.randn(len(images), 3, generator=random))
    weights /= weights.sum(1, keepdim=True)
    return torch.einsum("bhwc,bc->bhw", images.float() / 255, weights)[:, None]


def _cut(landmarks: Tensor, side: int, strength: PhotoLike, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Where each pixel of the crops lies in the pictures, (B, 128, 128, 2) for `grid_sample`; and the landmarks."""
    matrix = _turn(len(landmarks), strength, random)
    centre = landmarks.mean(1, keepdim=True)
    turned = (landmarks - centre) @ matrix.transpose(1, 2)
    low, high = turned.amin(1), turned.amax(1)
    outer, hull = torch.tensor(OUTER), high - low
    low, high = low - outer[:2] * hull, high + outer[2:] * hull
    tight = torch.rand(len(low), 1, generator=random) < strength.tight
    extent = high - low
    cut = [strength.cut[0] + (strength.cut[1] - strength.cut[0]) * _rand(low, random) for _ in range(2)]
    detected = [0.10 + strength.loose * torch.randn(low.shape, generator=random) for _ in range(2)]
    low = low - extent * torch.where(tight, cut[0], detected[0])
    high = high + extent * torch.where(tight, cut[1], detected[1])
    middle, half = (low + high) / 2, (high - low).amax(1) / 2  # a box is made square around its centre
    steps = (torch.arange(SIZE_PX) + 0.5) / SIZE_PX * 2 - 1
    unit = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).view(1, -1, 2)
    places = middle[:, None] + unit * half[:, None, None]
    inside = torch.maximum(torch.minimum(places, high[:, None]), low[:, None])
    places = torch.where(tight[:, None], inside, places) @ torch.linalg.inv(matrix).transpose(1, 2) + centre
    moved = ((turned - middle[:, None]) / half[:, None, None] + 1) / 2
    return (places / side * 2 - 1).view(-1, SIZE_PX, SIZE_PX, 2), moved


def _turn(count: int, strength: PhotoLike, random: torch.Generator) -> Tensor:
    """(B, 2, 2): a turn after a stretch and a shear."""
    angle = torch.randn(count, generator=random) * math.radians(strength.rotation_deg)
    angle = angle.clamp(-math.radians(strength.rotation_max_deg), math.radians(strength.rotation_max_deg))
    tall = torch.exp(strength.stretch * torch.randn(count, generator=random))
    shear = strength.shear * torch.randn(count, generator=random)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros(count)
    rotation = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    return rotation @ torch.stack([1 / tall.sqrt(), shear, none, tall.sqrt()], 1).view(-1, 2, 2)


def _rand(like: Tensor, random: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=random)
