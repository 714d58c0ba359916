"""Latent -> crop, from the latent ALONE: no features of the encoder reach it, so that every latent, an eigenear or a
point between two ears decodes as well as an encoded one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.blocks import UpStage
from training.config import LATENT_SIDE, ModelConfig


class EarDecoder(nn.Module):
    """Linear layer to 4 x 4, then one `UpStage` per doubling, then a convolution to RGB and tanh."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.decoder_channels
        self.grid = (channels[0], LATENT_SIDE, LATENT_SIDE)
        self.from_latent = nn.Linear(config.latent_dim, channels[0] * LATENT_SIDE**2)
        self.stages = nn.Sequential(*(UpStage(a, b) for a, b in zip(channels[:-1], channels[1:], strict=True)))
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, latent: Tensor) -> Tensor:
        """Decode latents.

        Args:
            latent: (B, D) float32, a `mu` or a sample around one (not a unit-length embedding).

        Returns:
            (B, 3, S, S) float32 in [-1, 1], RGB, S = `image_size_px`.
        """
        grid = F.relu(self.from_latent(latent)).view(-1, *self.grid)
        return torch.tanh(self.to_rgb(self.stages(grid)))
