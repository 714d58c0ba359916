"""Crop -> latent distribution: SAM, three custom blocks, two linear heads.

Knows nothing of the decoder, of losses or of identity.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.blocks import GridPool, ResidualAttentionBlock
from training.config import LATENT_SIDE, ModelConfig
from training.sam import SamEncoder

LOGVAR_RANGE = (-12.0, 8.0)
"""Log variances are clamped to this range, so that exp() is finite in half precision too."""


class EarEncoder(nn.Module):
    """SAM ViT -> 3 residual blocks with spatial attention -> 4 x 4 grid -> mu and logvar."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.sam = SamEncoder(config.sam, config.freeze_layers)
        blocks: list[nn.Module] = []
        channels, side = config.sam.output_channels, config.sam.grid_side
        for width in config.block_channels:
            stride = 2 if side > LATENT_SIDE else 1
            blocks.append(ResidualAttentionBlock(channels, width, stride))
            channels, side = width, -(-side // stride)
        self.blocks = nn.Sequential(*blocks)
        self.pool = GridPool(side, LATENT_SIDE)
        features = channels * LATENT_SIDE**2
        self.to_mu = nn.Linear(features, config.latent_dim)
        self.to_logvar = nn.Linear(features, config.latent_dim)
        # Start almost deterministic: noise of the prior's size would drown the signal for the first epochs.
        nn.init.normal_(self.to_logvar.weight, std=1e-3)
        nn.init.constant_(self.to_logvar.bias, -4.0)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode crops.

        Args:
            images: (B, 3, H, W) float32 in [-1, 1], RGB, square; H is `image_size_px` in training.

        Returns:
            mu (B, D) float32 and logvar (B, D) float32 (natural log of the variance), D = `latent_dim`.
        """
        features = self.pool(self.blocks(self.sam(images))).flatten(1)
        return self.to_mu(features), self.to_logvar(features).clamp(*LOGVAR_RANGE)
