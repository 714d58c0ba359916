"""EarVAE -> the same function in fewer operations: SAM's forward rewritten, batch norms folded into convolutions, rows
of the identity head that are zero left out.

Gives a copy; the networks it was given stay as they are, to be compared with.
"""

from __future__ import annotations

import copy

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from export.graph.attention import GraphAttention
from export.graph.sam import SamGraph
from training.networks.vae import EarVAE, IdentityHead


def rewrite(vae: EarVAE, attention: type[GraphAttention] = GraphAttention) -> EarVAE:
    """A copy of `vae`, in evaluation mode, that computes the same with fewer operations. It cannot be trained.

    attention: the form of SAM's attention (`export/graph/attention.py`): what is fastest depends on the runtime.
    """
    rewritten = copy.deepcopy(vae).eval().requires_grad_(False)
    rewritten.encoder.sam = SamGraph(rewritten.encoder.sam, vae.config.image_size_px, attention)  # type: ignore[assignment]
    fold_batch_norms(rewritten)
    rewritten.identity = ShortIdentityHead(rewritten.identity)  # type: ignore[assignment]
    return rewritten


class ShortIdentityHead(nn.Module):
    """`IdentityHead` without the rows of W that are zero at its end: a fitted W has no more rows than subjects."""

    mean: Tensor

    def __init__(self, head: IdentityHead) -> None:
        super().__init__()
        self.dim = len(head.weight)
        used = head.weight.abs().sum(1).nonzero()  # an unusable head of zeros stays whole, for the gate to refuse
        rows = int(used.max()) + 1 if len(used) else self.dim
        self.weight = nn.Parameter(head.weight[:rows].clone(), requires_grad=False)
        self.register_buffer("mean", head.mean.clone())

    def forward(self, mu: Tensor) -> Tensor:
        """(B, D) float32 -> (B, D) float32 of unit length."""
        short = F.normalize(F.linear(mu - self.mean, self.weight), dim=1)
        return F.pad(short, (0, self.dim - len(self.weight)))


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch norm that follows a convolution in an `nn.Sequential` into that convolution, in place."""
    for child in module.children():
        fold_batch_norms(child)
    if not isinstance(module, nn.Sequential):
        return
    for index in range(len(module) - 1):
        first, second = module[index], module[index + 1]
        if isinstance(first, (nn.Conv2d, nn.ConvTranspose2d)) and isinstance(second, nn.BatchNorm2d):
            module[index] = fuse_conv_bn_eval(first, second, isinstance(first, nn.ConvTranspose2d))
            module[index + 1] = nn.Identity()
