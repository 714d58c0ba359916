"""Latent -> crop, from the latent ALONE: no features of the encoder reach it, so that every latent, an eigenear or a
point between two ears decodes as well as an encoded one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.blocks import UpStage
from training.config import LATENT_SIDE, ModelConfig


class EarDecoder(nn.Module):
    """A coarse picture by a linear path, and detail by transposed convolutions from 4 x 4, added to it.

    The linear path is what principal components of the pictures would do, and can start as exactly that
    (`start_from_pictures`); the convolutions learn what is left.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.decoder_channels
        self.grid = (channels[0], LATENT_SIDE, LATENT_SIDE)
        self.coarse_side = config.coarse_side_px
        self.enlarge = config.image_size_px // config.coarse_side_px
        self.to_code = nn.Linear(config.latent_dim, config.code_dim)
        self.to_coarse = nn.Linear(config.code_dim, 3 * self.coarse_side**2)
        self.to_grid = nn.Linear(config.code_dim, channels[0] * LATENT_SIDE**2)
        self.stages = nn.Sequential(*(UpStage(a, b) for a, b in zip(channels[:-1], channels[1:], strict=True)))
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)
        nn.init.normal_(self.to_rgb.weight, std=0.01)  # at first the coarse picture is nearly all there is

    def forward(self, latent: Tensor) -> Tensor:
        """Decode latents.

        Args:
            latent: (B, D) float32, a `mu` or a sample around one (not a unit-length embedding).

        Returns:
            (B, 3, S, S) float32 in [-1, 1], RGB, S = `image_size_px`. In training mode values may leave that range:
            a clamp would take their gradient away.
        """
        code = self.to_code(latent)
        coarse: Tensor = F.interpolate(
            self._coarse(code), scale_factor=float(self.enlarge), mode="bilinear", align_corners=False
        )
        detail: Tensor = self.to_rgb(self.stages(F.relu(self.to_grid(code)).view(-1, *self.grid)))
        images = coarse + detail
        return images if self.training else images.clamp(-1, 1)

    def coarse(self, latent: Tensor) -> Tensor:
        """(B, D) float32 -> the coarse picture alone, (B, 3, C, C) float32, C = `coarse_side_px`."""
        return self._coarse(self.to_code(latent))

    def _coarse(self, code: Tensor) -> Tensor:
        pixels: Tensor = self.to_coarse(code)
        return pixels.view(-1, 3, self.coarse_side, self.coarse_side)

    @torch.no_grad()
    def start_from_pictures(self, images: Tensor) -> None:
        """Let the linear path start from the principal components of pictures.

        Args:
            images: (N, 3, S, S) float32 in [-1, 1], RGB; N above 1.
        """
        pixels = F.adaptive_avg_pool2d(images, self.coarse_side).flatten(1)
        mean = pixels.mean(0)
        rank = min(self.to_coarse.in_features, len(pixels) - 1, pixels.shape[1])
        _, scale, axes = torch.svd_lowrank(pixels - mean, q=rank, niter=4)
        self.to_coarse.bias.copy_(mean)
        self.to_coarse.weight.zero_()
        self.to_coarse.weight[:, :rank] = axes * (scale / len(pixels) ** 0.5)
