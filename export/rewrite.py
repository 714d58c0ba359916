"""EarVAE -> the same function in fewer operations: SAM's forward rewritten, batch norms folded into convolutions.

Gives a copy; the networks it was given stay as they are, to be compared with.
"""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from export.sam_graph import SamGraph
from training.vae import EarVAE


def rewrite(vae: EarVAE) -> EarVAE:
    """A copy of `vae`, in evaluation mode, that computes the same with fewer operations. It cannot be trained."""
    rewritten = copy.deepcopy(vae).eval().requires_grad_(False)
    rewritten.encoder.sam = SamGraph(rewritten.encoder.sam, vae.config.image_size_px)  # type: ignore[assignment]
    fold_batch_norms(rewritten)
    return rewritten


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
