"""SAM's patch embedding for graphs: upsampling and pixel statistics folded into the patch convolution.

Bilinear upsampling by a whole factor f followed by a P x P convolution with stride P is one convolution of the small
picture with stride P / f, provided f divides P: exact, and it never makes the large picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.networks.sam import SamEncoder


class PatchEmbedding(nn.Module):
    """Pictures -> tokens with their position embedding.

    Args:
        sam: the encoder whose weights to take.
        crop_px: side of the pictures, pixels.
    """

    position: Tensor

    def __init__(self, sam: SamEncoder, crop_px: int) -> None:
        super().__init__()
        encoder, shape = sam.vision.vision_encoder, sam.shape
        self.side = shape.image_size_px
        weight, bias = fold_statistics(encoder.patch_embed.projection, sam.pixel_mean, sam.pixel_std)
        factor, remainder = divmod(self.side, crop_px)
        self.folded = remainder == 0 and shape.patch_size_px % factor == 0 and factor > 1
        if self.folded:
            weight = fold_upsampling(weight, factor)
        stride = shape.patch_size_px // factor if self.folded else shape.patch_size_px
        self.projection = nn.Conv2d(3, shape.hidden_size, weight.shape[-1], stride=stride, device="meta")
        self.projection.weight, self.projection.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
        self.register_buffer("position", encoder.pos_embed.detach().flatten(1, 2), persistent=False)  # (1, N, C)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) float in [-1, 1] -> (B * N, C)."""
        if self.folded:
            images = F.pad(images, (1, 1, 1, 1), mode="replicate")
        elif images.shape[-1] != self.side:
            images = F.interpolate(images, size=(self.side, self.side), mode="bilinear", align_corners=False)
        tokens = self.projection(images).flatten(2).transpose(1, 2) + self.position
        rows: Tensor = tokens.flatten(0, 1)
        return rows


def fold_statistics(convolution: nn.Conv2d, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias that take pixels in [-1, 1] where `convolution` took ((x + 1) / 2 - mean) / std."""
    weight = convolution.weight.detach().double()
    assert convolution.bias is not None  # SAM's patch convolution has one
    offset = (0.5 - mean.double()) / std.double()
    bias = convolution.bias.detach().double() + (weight * offset).sum(dim=(1, 2, 3))
    return (weight * 0.5 / std.double()).float(), bias.float()


def fold_upsampling(weight: Tensor, factor: int) -> Tensor:
    """(C, 3, P, P) for the upsampled picture -> (C, 3, P / f + 2, P / f + 2) for one padded by its edge pixels."""
    patch = weight.shape[-1]
    spread = torch.zeros(patch, patch // factor + 2, dtype=torch.float64)
    for pixel in range(patch):
        # Half-pixel centres, as align_corners=False has them; 1: the pixel of padding.
        position = (pixel + 0.5) / factor - 0.5 + 1
        left = int(position)
        spread[pixel, left] += 1 - (position - left)
        spread[pixel, left + 1] += position - left
    return (spread.T @ weight.double() @ spread).float()
