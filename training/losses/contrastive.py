"""The contrastive term: views of one ear attract, other ears repel.

SupCon's L_out (Khosla et al. 2020, equation 2). With a label of its own for each picture, and two views of each, it is
NT-Xent (Chen et al. 2020, SimCLR). It does not know what a label means.
"""

from __future__ import annotations

import torch
from torch import Tensor


def contrastive(embeddings: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean over all views of -log of the share of similarity that goes to views of the same label.

    Args:
        embeddings: (N, D) float32 of unit length, every view of the batch.
        labels: (N,) int64; views with equal labels attract. A view without a partner is left out.
        temperature: divides the cosine similarities.

    Returns:
        A scalar >= 0; 0 where no view has a partner.
    """
    similarity = embeddings @ embeddings.T / temperature
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    log_share = torch.log_softmax(similarity.masked_fill(own, float("-inf")), dim=1)
    partners = (labels[:, None] == labels[None, :]) & ~own
    counts = partners.sum(1)
    # where(), not a product: the diagonal is -inf, and -inf times 0 is not a number
    per_view = -torch.where(partners, log_share, 0.0).sum(1) / counts.clamp(min=1)
    return per_view.sum() / (counts > 0).sum().clamp(min=1)
