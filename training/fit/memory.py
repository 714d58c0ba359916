"""How much memory a training step takes, found by running it on torch's meta device, which allocates nothing.

An estimate: it counts weights, gradients, optimiser and what autograd keeps, not the allocator's own overhead.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from training.config import TrainConfig
from training.networks.vae import EarVAE

MIXED_SHARE = 0.55
"""Of float32's activation memory that mixed precision keeps: most of it in 2 bytes, norms and losses in 4."""
OVERHEAD = 1.15
"""Workspaces and fragmentation, on top of what is counted."""


class StepMemory(NamedTuple):
    """Bytes of one training step on one device."""

    fixed_bytes: int
    """Weights, gradients and optimiser state."""
    per_picture_bytes: int
    """What one picture of the batch (all its views) keeps for the backward pass."""

    def total_bytes(self, batch_size: int) -> int:
        """For a batch of this size."""
        return int((self.fixed_bytes + batch_size * self.per_picture_bytes) * OVERHEAD)

    def largest_batch(self, available_bytes: int) -> int:
        """The largest batch that fits, 0 where none does."""
        return max(int((available_bytes / OVERHEAD - self.fixed_bytes) // self.per_picture_bytes), 0)


def step_memory(config: TrainConfig) -> StepMemory:
    """Estimate a step of `config`."""
    with torch.device("meta"):
        model = EarVAE(config.model).train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    weights = 4 * sum(p.numel() for p in model.parameters())
    fixed = weights + 12 * sum(p.numel() for p in trainable)  # a gradient and Adam's two moments
    views = config.views if config.losses.contrastive > 0 else 1
    some = 2 * config.decode_every  # batch norm wants more than one picture, and some of them are decoded
    small, large = (_kept_bytes(model, config, count, views) for count in (some, 2 * some))
    share = 1.0 if config.precision == "32" else MIXED_SHARE
    return StepMemory(fixed, max(int((large - small) / some * share), 1))


def _kept_bytes(model: EarVAE, config: TrainConfig, count: int, views: int) -> int:
    """Bytes autograd keeps of one forward pass over `count` pictures."""
    kept: dict[int, Tensor] = {}  # by storage; the tensors stay alive, or their addresses would be used again

    def note(tensor: Tensor) -> Tensor:
        return kept.setdefault(tensor.untyped_storage()._cdata, tensor)

    side = config.model.image_size_px
    images = torch.empty(count * views, 3, side, side, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        mu, logvar = model.encoder(images)
        reconstruction = model.decoder((mu + logvar.exp())[: count : config.decode_every])
        loss = reconstruction.square().sum()
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    del loss
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)
