"""`EarVAE`: encoder, decoder and identity head in one plain module, and how a researcher loads it.

Knows no trainer and no loss; importing it imports no lightning.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.checkpoint import read_checkpoint
from training.errors import CheckpointError
from training.model_config import ModelConfig
from training.networks.decoder import EarDecoder
from training.networks.encoder import EarEncoder


class EarOutput(NamedTuple):
    """What `EarVAE` gives for a batch of B crops."""

    reconstruction: Tensor
    """(B, 3, S, S) float32 in [-1, 1], RGB."""
    mu: Tensor
    """(B, D) float32."""
    logvar: Tensor
    """(B, D) float32."""


class ParameterCount(NamedTuple):
    """Numbers of parameters: all, those that learn, those that are frozen."""

    total: int
    trainable: int
    frozen: int


class IdentityHead(nn.Module):
    """mu -> embedding for finding ears: `l2_normalise(W (mu - m))`.

    W starts as the identity and learns through the contrastive term; m is the mean of the training mu. So an untrained
    head is the cosine of centred latents, and a trained one may ignore light and skin, which mu must keep.
    """

    mean: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(dim))  # W (D, D)
        self.register_buffer("mean", torch.zeros(dim))  # m (D,)

    def forward(self, mu: Tensor) -> Tensor:
        """(B, D) float32 -> (B, D) float32 of unit length."""
        return F.normalize(F.linear(mu - self.mean, self.weight), dim=1)


class EarVAE(nn.Module):
    """Variational autoencoder of ear crops (Kingma & Welling 2014) on the SAM image encoder.

    >>> model = EarVAE.load_from_checkpoint("runs/ears/model.ckpt")
    >>> mu, logvar = model.encoder(images)      # images: (B, 3, 128, 128) float32 in [-1, 1], RGB
    >>> embedding = model.identity(mu)          # (B, 1024) unit length: compare by dot product
    >>> reconstruction = model.decoder(mu)      # (B, 3, 128, 128) float32 in [-1, 1]
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = EarEncoder(config)
        self.decoder = EarDecoder(config)
        self.identity = IdentityHead(config.latent_dim)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> EarOutput:
        """Encode and reconstruct.

        Args:
            images: (B, 3, S, S) float32 in [-1, 1], RGB.
            generator: where the noise comes from. The latent is sampled in training mode or where a generator is given;
                otherwise mu itself is decoded, so that evaluation is deterministic.
        """
        mu, logvar = self.encoder(images)
        latent = sample(mu, logvar, generator) if self.training or generator is not None else mu
        return EarOutput(self.decoder(latent), mu, logvar)

    def start_from_pictures(self, images: Tensor) -> None:
        """Fit the linear paths to pictures, in closed form.

        Args:
            images: (N, 3, S, S) float32 in [-1, 1], RGB; N above 1.
        """
        self.decoder.start_from_pictures(images)
        if self.encoder.components is not None and self.decoder.components is not None:
            self.encoder.components.load_state_dict(self.decoder.components.state_dict())

    def parameter_count(self) -> ParameterCount:
        """Parameters of encoder, decoder and identity head."""
        total = sum(p.numel() for p in self.parameters())
        trainable = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return ParameterCount(total, trainable, total - trainable)

    @classmethod
    def load_from_checkpoint(cls, path: str | Path, map_location: str | torch.device = "cpu") -> Self:
        """Load a trained model, in evaluation mode.

        Args:
            path: a `.ckpt` written by `ear-teacher train`.
            map_location: the device to load onto.

        Raises:
            CheckpointError: not a checkpoint of this project, or its tensors do not fit its configuration.
        """
        checkpoint = read_checkpoint(path, map_location)
        model = cls(checkpoint.config)
        try:
            model.load_state_dict(checkpoint.state_dict)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: its tensors do not fit its own configuration: {error}") from None
        return model.to(map_location).eval()


def sample(mu: Tensor, logvar: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw from N(mu, exp(logvar)) by the reparameterisation trick (Kingma & Welling 2014, section 2.4). (B, D)."""
    noise = torch.empty_like(mu).normal_(generator=generator)
    return mu + noise * torch.exp(0.5 * logvar)
