"""Landmarks, where the data has them: read from the latent, and as the encoder's own keypoints.

They put anatomy into mu, and eigenears show it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BETA = 0.02
"""Errors below this share of the crop's side count by their square, larger ones linearly."""
SIGMA = 0.7
"""Width of the wanted heat around a landmark, in cells of the grid."""


def landmark(predicted: Tensor, landmarks: Tensor, weights: Tensor) -> Tensor:
    """Smooth L1 distance (Girshick 2015) to the landmarks.

    Args:
        predicted: (B, K, 2) float32, shares of the crop's side.
        landmarks: (B, K, 2) float32, the truth.
        weights: (B, K) float32 >= 0: how much each counts.

    Returns:
        A scalar >= 0, the weighted mean; 0 where nothing counts.
    """
    distance = F.smooth_l1_loss(predicted, landmarks, beta=BETA, reduction="none").sum(2)
    return (distance * weights).sum() / weights.sum().clamp(min=1e-6)


def heatmap(logits: Tensor, landmarks: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy between each heat map and a Gaussian around its landmark, both distributions over the grid.

    Args:
        logits: (B, K, G, G) float32.
        landmarks: (B, K, 2) float32, shares of the crop's side, x then y.
        weights: (B, K) float32 >= 0.

    Returns:
        A scalar >= 0 in nats, the weighted mean.
    """
    side = logits.shape[-1]
    centres = torch.arange(side, device=logits.device) + 0.5
    distance = (centres - landmarks[..., None] * side) ** 2  # (B, K, 2, G): along x, along y
    across, down = torch.exp(-distance / (2 * SIGMA**2)).unbind(2)
    target_map = (down[..., :, None] * across[..., None, :]).flatten(2)
    target_map = target_map / target_map.sum(2, keepdim=True).clamp(min=1e-6)
    entropy = -(target_map * F.log_softmax(logits.flatten(2), dim=2)).sum(2)
    return (entropy * weights).sum() / weights.sum().clamp(min=1e-6)
