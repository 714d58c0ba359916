"""Crop -> latent distribution: SAM, three custom blocks, two linear heads; in small models a linear path beside them.

Knows nothing of the decoder, of losses or of identity.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.model_config import LATENT_SIDE, ModelConfig
from training.networks.blocks import GridPool, ResidualAttentionBlock, SpatialSoftmax
from training.networks.linear_path import linear_path
from training.networks.sam import SamEncoder

LOGVAR_RANGE = (-12.0, 8.0)
"""Log variances are clamped to this range, so that exp() is finite in half precision too."""
FIRST_LOGVAR, FIRST_PICTURE_LOGVAR = -4.0, -9.0
"""Almost deterministic: noise of the prior's size would drown the signal for the first epochs."""


class EncoderOutput(NamedTuple):
    """All that the encoder says of B crops."""

    mu: Tensor
    """(B, D) float32."""
    logvar: Tensor
    """(B, D) float32, natural log of the variance."""
    heat: Tensor | None
    """(B, K, G, G) float32, logits of the keypoints' heat maps; None where the model has no keypoints."""
    places: Tensor | None
    """(B, K, 2) float32, the keypoints' expected x and y, 0 to 1."""


class EarEncoder(nn.Module):
    """SAM ViT -> 3 residual blocks with spatial attention -> 4 x 4 grid (and keypoints) -> mu and logvar."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.sam = SamEncoder(config.sam, config.freeze_layers)
        blocks: list[nn.Module] = []
        channels, side = config.sam.output_channels, config.sam.grid_side
        for width, widest_stride in zip(config.block_channels, config.block_strides, strict=True):
            stride = widest_stride if side > LATENT_SIDE else 1
            blocks.append(ResidualAttentionBlock(channels, width, stride))
            channels, side = width, -(-side // stride)
        self.blocks = nn.Sequential(*blocks)
        self.pool = GridPool(side, LATENT_SIDE)
        self.keypoints = SpatialSoftmax(channels, config.keypoints) if config.keypoints else None
        features = channels * LATENT_SIDE**2 + 2 * config.keypoints
        self.norm = nn.BatchNorm1d(features) if config.norm_features else nn.Identity()
        rank = config.picture_rank
        path = linear_path(config)
        self.small = path[0] if rank else None
        self.components = path[1]
        self.to_mu = nn.Linear(features, config.latent_dim - rank)
        last = nn.Linear(config.logvar_rank or features, config.latent_dim)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.constant_(last.bias, FIRST_LOGVAR)
        nn.init.constant_(last.bias[config.latent_dim - rank :], FIRST_PICTURE_LOGVAR)
        self.to_logvar: nn.Module = last
        if config.logvar_rank:
            self.to_logvar = nn.Sequential(nn.Linear(features, config.logvar_rank), last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode crops.

        Args:
            images: (B, 3, H, W) float32 in [-1, 1], RGB, square; H is `image_size_px` in training.

        Returns:
            mu (B, D) float32 and logvar (B, D) float32 (natural log of the variance), D = `latent_dim`.
        """
        reading = self.read(images)
        return reading.mu, reading.logvar

    def read(self, images: Tensor, hidden: Tensor | None = None) -> EncoderOutput:
        """Like `forward`, with the keypoints beside it. hidden: see `SamEncoder.forward`."""
        # An exported encoder's SAM (`export/graph/sam.py`) begins with the picture and takes nothing else.
        grid = self.blocks(self.sam(images) if hidden is None else self.sam(images, hidden))
        features = self.pool(grid).flatten(1)
        heat = places = None
        if self.keypoints is not None:
            heat, places = self.keypoints(grid)
            features = torch.cat([features, (4 * places - 2).flatten(1).to(features.dtype)], dim=1)
        features = self.norm(features)
        mu = self.to_mu(features)
        if self.small is not None and self.components is not None:
            mu = torch.cat([mu, self.components.read(self.small.reduce(images)).to(mu.dtype)], dim=1)
        return EncoderOutput(mu, self.to_logvar(features).clamp(*LOGVAR_RANGE), heat, places)
