"""What light, hair and a cheap camera do to a grey crop: shading, cover, blur, few pixels, noise, JPEG.

Pictures are (B, 1, 128, 128) float32 in [0, 1]. Knows no landmarks: nothing here moves anything.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

GROUPS = 8
"""A batch is degraded in so many parts, each with one size and one JPEG quality."""
_LUMINANCE = torch.tensor(
    [16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
     51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
     120, 101, 72, 92, 95, 98, 112, 100, 103, 99], dtype=torch.float32).view(8, 8)  # fmt: skip
"""JPEG's example quantisation of luminance (ITU-T T.81, table K.1)."""


def shade(grey: Tensor, random: torch.Generator) -> Tensor:
    """Gamma, contrast, light from one side, and slow shadows."""
    count = len(grey)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=random)

    grey = grey.clamp(1e-3, 1) ** torch.exp(0.35 * normal(1, 1, 1))
    steps = torch.linspace(-1, 1, grey.shape[-1])
    ramp = normal(1, 1, 1) * steps.view(1, 1, 1, -1) + normal(1, 1, 1) * steps.view(1, 1, -1, 1)
    slow = F.interpolate(normal(1, 4, 4), size=grey.shape[-2:], mode="bicubic", align_corners=True)
    lit = grey * torch.exp(0.3 * ramp + 0.25 * slow)
    contrast = torch.exp(0.3 * normal(1, 1, 1))
    mean = lit.mean((2, 3), keepdim=True)
    return ((lit - mean) * contrast + mean + 0.08 * normal(1, 1, 1)).clamp(0, 1)


def cover(grey: Tensor, random: torch.Generator) -> Tensor:
    """A third of the pictures get a patch or strands of hair across the ear."""
    count, side = len(grey), grey.shape[-1]
    steps = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    chosen = torch.rand(count, generator=random) < 0.35
    for number in torch.nonzero(chosen).flatten().tolist():
        draw = torch.rand(12, generator=random)
        angle, tone = float(draw[0]) * math.pi, float(draw[1])
        along, across = x * math.cos(angle) + y * math.sin(angle), -x * math.sin(angle) + y * math.cos(angle)
        if draw[2] < 0.5:  # strands: parallel curves
            bend = across + (float(draw[3]) - 0.5) * along**2 - (float(draw[4]) * 2 - 1) * 0.8
            width = 0.03 + 0.25 * float(draw[5])
            lines = 0.5 + 0.5 * torch.sin(bend * (40 + 120 * float(draw[6])) + float(draw[7]) * 6)
            alpha = (bend.abs() < width).float() * (lines > float(draw[8]) * 0.8).float()
        else:  # a soft ellipse
            offset = (draw[3:5] * 2 - 1) * 0.9
            radius = ((along - offset[0]) / (0.1 + 0.3 * draw[5])) ** 2 + (
                (across - offset[1]) / (0.1 + 0.4 * draw[6])
            ) ** 2
            alpha = torch.sigmoid((1 - radius) * (2 + 20 * float(draw[7])))
        grey[number, 0] = grey[number, 0] * (1 - alpha) + (tone + 0.1 * lines if draw[2] < 0.5 else tone) * alpha
    return grey.clamp(0, 1)


def degrade(grey: Tensor, random: torch.Generator) -> Tensor:
    """Blur, few pixels, noise and JPEG; back at the size that came in."""
    done = []
    for part in grey.chunk(GROUPS):
        draw = torch.rand(5, generator=random)
        part = _blur(part, 0.2 + 1.8 * float(draw[0]) ** 2)
        side = part.shape[-1]
        small = round(side * (0.2 + 0.8 * float(draw[1]) ** 0.7)) if draw[2] < 0.7 else side
        small = max(small // 8 * 8, 24)
        part = F.interpolate(part, size=(small, small), mode="bilinear", antialias=True, align_corners=False)
        spread = 0.05 * torch.rand(len(part), 1, 1, 1, generator=random) ** 2
        part = (part + spread * torch.randn(part.shape, generator=random)).clamp(0, 1)
        if draw[3] < 0.7:
            part = jpeg(part, 15 + 80 * float(draw[4]))
        done.append(F.interpolate(part, size=(side, side), mode="bicubic", align_corners=False).clamp(0, 1))
    return torch.cat(done)


def _blur(grey: Tensor, sigma: float) -> Tensor:
    reach = max(1, math.ceil(2.5 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    taps = taps / taps.sum()
    grey = F.conv2d(F.pad(grey, (reach, reach, reach, reach), mode="replicate"), taps.view(1, 1, 1, -1))
    return F.conv2d(grey, taps.view(1, 1, -1, 1))


def jpeg(grey: Tensor, quality: float) -> Tensor:
    """Quantise 8 x 8 blocks as baseline JPEG does at `quality` (1 to 100); sides are multiples of 8."""
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    table = (_LUMINANCE * scale).round().clamp(1, 255)
    k = torch.arange(8.0)
    dct = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) * torch.where(k[:, None] == 0, 0.5**0.5, 1.0) / 2
    count, channels, height, width = grey.shape
    blocks = grey.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4) * 255 - 128
    coarse = ((dct @ blocks @ dct.T) / table).round() * table
    back = (dct.T @ coarse @ dct + 128) / 255
    return back.transpose(3, 4).reshape(grey.shape).clamp(0, 1)
