"""The two graphs of a bundle, as modules that hold its tensor contract: uint8 pictures at the edges, floats inside.

Casts sit next to the edges (`float()` first on the way in, `to(uint8)` last on the way out): TensorRT refuses any other
operation on uint8. Normalisation and upsampling are in the graph, so that nobody can forget them. Knows nothing of
files, runtimes or precisions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.networks.vae import EarVAE

ENCODER_INPUT = "image"
ENCODER_OUTPUTS = ("embedding", "mu", "logvar")
DECODER_INPUT = "latent"
DECODER_OUTPUTS = ("image",)


class EncoderGraph(nn.Module):
    """Crops -> embedding, mu, logvar.

    Args:
        vae: the networks; taken over as they are (copy them first where they are needed elsewhere).
    """

    def __init__(self, vae: EarVAE) -> None:
        super().__init__()
        self.encoder = vae.encoder
        self.identity = vae.identity

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode.

        Args:
            image: (B, S, S, 3) uint8, RGB, left-ear orientation.

        Returns:
            embedding (B, D) of unit length, mu (B, D), logvar (B, D); all float32.
        """
        images = image.float().permute(0, 3, 1, 2) / 127.5 - 1.0
        mu, logvar = self.encoder(images)
        return self.identity(mu), mu, logvar


class DecoderGraph(nn.Module):
    """Latents -> pictures.

    Args:
        vae: the networks; taken over as they are.
    """

    def __init__(self, vae: EarVAE) -> None:
        super().__init__()
        self.decoder = vae.decoder

    def forward(self, latent: Tensor) -> Tensor:
        """Decode.

        Args:
            latent: (B, D) float32, a `mu` (not a unit-length embedding).

        Returns:
            image (B, S, S, 3) uint8, RGB.
        """
        images = self.decoder(latent).float()
        pixels: Tensor = ((images + 1.0) * 127.5).round().clamp(0.0, 255.0)
        return pixels.permute(0, 2, 3, 1).to(torch.uint8)
