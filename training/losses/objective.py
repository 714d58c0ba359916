"""The training objective: which terms, how they are weighted, and their values picture by picture for validation.

Knows no optimiser and no trainer; the terms themselves are in `training/losses/`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import vmap

from training.config import LossWeights
from training.losses.edge import edge
from training.losses.perceptual import Vgg16Features, perceptual
from training.losses.reconstruction import center, l1
from training.losses.ssim import ssim, ssim_loss

Terms = dict[str, Tensor]
PairTerm = Callable[[Tensor, Tensor], Tensor]


class Objective(nn.Module):
    """`L1 + weighted terms`; a term of weight 0 is not computed.

    Args:
        weights: of the terms.
        vgg: features for the perceptual term; needed where its weight is not 0.
    """

    def __init__(self, weights: LossWeights, vgg: Vgg16Features | None = None) -> None:
        super().__init__()
        self.weights = weights
        self._vgg = [vgg]  # in a list: frozen weights of others have no place in our checkpoints

    def to_device(self, device: torch.device) -> None:
        """Move what is not registered as a submodule."""
        self._vgg = [vgg.to(device) if vgg is not None else None for vgg in self._vgg]

    def pair_terms(self) -> dict[str, PairTerm]:
        """The terms that compare a reconstruction with its target, by name."""
        terms: dict[str, PairTerm] = {"l1": l1}
        for name, function in (("ssim", ssim_loss), ("edge", edge), ("center", center)):
            if getattr(self.weights, name) > 0:
                terms[name] = function
        vgg = self._vgg[0]
        if self.weights.perceptual > 0 and vgg is not None:
            terms["perceptual"] = lambda a, b: perceptual(vgg, a, b)
        return terms

    def compare(self, reconstruction: Tensor, target: Tensor) -> Terms:
        """Every pair term over a batch. Both (B, 3, S, S) float32 in [-1, 1]; scalars."""
        return {name: term(reconstruction, target) for name, term in self.pair_terms().items()}

    def compare_each(self, reconstruction: Tensor, target: Tensor) -> Terms:
        """Every pair term, and PSNR and SSIM, picture by picture. Both (B, 3, S, S); each (B,)."""
        values = {
            name: vmap(term)(reconstruction[:, None], target[:, None]) for name, term in self.pair_terms().items()
        }
        return {**values, "psnr": psnr(reconstruction, target), "similarity": ssim(reconstruction, target)}

    def total(self, terms: Terms) -> Tensor:
        """The weighted sum of the terms given; others, such as PSNR, are ignored."""
        weights = {"l1": 1.0, **vars(self.weights)}
        return torch.stack([weights[name] * value for name, value in terms.items() if name in weights]).sum(0)


def psnr(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture, dB. Both (B, 3, S, S) float32 in [-1, 1]; (B,) float32."""
    error = ((reconstruction - target) / 2).square().mean((1, 2, 3))
    return -10 * torch.log10(error.clamp(min=1e-10))
