"""The Kullback-Leibler term of the variational autoencoder (Kingma & Welling 2014, appendix B)."""

from __future__ import annotations

from torch import Tensor


def kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)), summed over the latent and averaged over the batch, in nats.

    Both (B, D) float32; returns a scalar >= 0.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
