"""Latent -> crop, from the latent ALONE: no features of the encoder reach it, so that every latent, an eigenear or a
point between two ears decodes as well as an encoded one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.model_config import LATENT_SIDE, ModelConfig
from training.networks.blocks import UpStage
from training.networks.linear_path import linear_path
from training.networks.linear_picture import Components


class EarDecoder(nn.Module):
    """A small picture by linear paths, enlarged, and detail by transposed convolutions from 4 x 4, added to it.

    Where the latent holds the picture itself (`picture_rank`), the small picture starts from what that draws; a
    learned linear path adds what the rest of the latent knows, and the convolutions learn what is left.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.decoder_channels
        self.grid = (channels[0], LATENT_SIDE, LATENT_SIDE)
        self.rank = config.picture_rank
        self.small, self.components = linear_path(config)
        self.to_code = nn.Linear(config.latent_dim, config.code_dim)
        self.to_coarse = nn.Linear(config.code_dim, self.small.values)
        self.to_grid = nn.Linear(config.code_dim, channels[0] * LATENT_SIDE**2)
        self.stages = nn.Sequential(*(UpStage(a, b) for a, b in zip(channels[:-1], channels[1:], strict=True)))
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)
        # At first the coarse picture is nearly all there is.
        for parameter in self.to_rgb.parameters():
            nn.init.normal_(parameter, std=0.01)

    def forward(self, latent: Tensor) -> Tensor:
        """Decode latents.

        Args:
            latent: (B, D) float32, a `mu` or a sample around one (not a unit-length embedding).

        Returns:
            (B, 3, S, S) float32 in [-1, 1], RGB, S = `image_size_px`. In training mode values may leave that range:
            a clamp would take their gradient away.
        """
        code = self.to_code(latent)
        detail: Tensor = self.to_rgb(self.stages(F.relu(self.to_grid(code)).view(-1, *self.grid)))
        images = self.small.enlarge(self._coarse(latent, code)) + detail
        return images if self.training else images.clamp(-1, 1)

    def coarse(self, latent: Tensor) -> Tensor:
        """(B, D) float32 -> (B, V) float32: the small picture alone, as `small` has it."""
        return self._coarse(latent, self.to_code(latent))

    def _coarse(self, latent: Tensor, code: Tensor) -> Tensor:
        learned: Tensor = self.to_coarse(code)
        return learned if self.components is None else learned + self.components.draw(latent[:, -self.rank :])

    @torch.no_grad()
    def start_from_pictures(self, images: Tensor) -> None:
        """Let the linear path start from the principal components of pictures.

        Args:
            images: (N, 3, S, S) float32 in [-1, 1], RGB; N above 1.
        """
        vectors = self.small.reduce(images)
        nn.init.zeros_(self.to_coarse.bias)
        nn.init.zeros_(self.to_coarse.weight)
        if self.components is not None:
            self.components.fit(vectors)
            return
        components = Components(self.small.values, min(self.to_coarse.in_features, self.small.values))
        components.fit(vectors)
        self.to_coarse.bias.copy_(components.mean)
        self.to_coarse.weight[:, : components.std.numel()] = components.axes * components.std
