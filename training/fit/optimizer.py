"""The optimisers: AdamW (Loshchilov & Hutter 2019), alone or with Muon (Jordan et al. 2024) for the matrices.

Muon replaces each matrix's momentum by the nearest orthogonal matrix. torch's own takes 2-D matrices only; here a
convolution kernel counts as the matrix (out, in x height x width). Knows which parameters want which treatment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from training.config import TrainConfig

BETAS = (0.9, 0.98)
MUON_MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration that drives singular values towards 1."""
# What AdamW keeps even where Muon takes the rest: embeddings, and the layers next to pixels and latents.
_NOT_FOR_MUON = (
    *("patch_embed", "pos_embed", "rel_pos", "to_mu", "to_logvar", "to_code", "to_coarse", "to_grid", "to_rgb"),
    *("to_heat", "gate", "identity", "reader"),
)
# Not drawn towards zero: these have meaning of their own (W is near the identity).
_NO_DECAY = ("pos_embed", "rel_pos", "identity")


class MuonAdamW(torch.optim.AdamW):
    """AdamW, except in groups with `muon=True`.

    A Muon group needs `lr`, `weight_decay` and `momentum`; all its parameters have at least two dimensions.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = self.param_groups
        for group in groups:
            if group["muon"]:
                self._muon(group)
        self.param_groups = [group for group in groups if not group["muon"]]
        try:
            super().step()
        finally:
            self.param_groups = groups
        return loss

    def _muon(self, group: dict[str, Any]) -> None:
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
                state["step"] = torch.zeros(())  # unused here, but Adam's way of loading asks for it
            momentum = state["momentum_buffer"]
            momentum.lerp_(parameter.grad, 1 - group["momentum"])
            update = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)  # Nesterov
            scale = max(1, update.shape[0] / update.shape[1]) ** 0.5
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(orthogonalise(update).view_as(parameter), alpha=-group["lr"] * scale)


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """About the nearest matrix with singular values 1, by Newton-Schulz iteration in bfloat16. (M, N) -> (M, N)."""
    a, b, c = NEWTON_SCHULZ
    wide = matrix.bfloat16()
    tall = wide.shape[0] > wide.shape[1]
    wide = wide.T if tall else wide
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return (wide.T if tall else wide).to(matrix.dtype)


def make_optimizer(module: nn.Module, run: TrainConfig) -> torch.optim.Optimizer:
    """The run's optimiser over everything in `module` that learns. Each group's `initial_lr` is its peak."""
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    muon = [(n, p) for n, p in named if run.optimizer == "muon" and p.ndim >= 2 and not _has(n, _NOT_FOR_MUON)]
    taken = {name for name, _ in muon}
    rest = [(n, p) for n, p in named if n not in taken]
    decay = [p for n, p in rest if p.ndim >= 2 and not _has(n, _NO_DECAY)]
    plain = [p for n, p in rest if p.ndim < 2 or _has(n, _NO_DECAY)]
    groups = [
        {"params": decay, "lr": run.lr, "weight_decay": run.weight_decay, "muon": False},
        {"params": plain, "lr": run.lr, "weight_decay": 0.0, "muon": False},
        {
            "params": [p for _, p in muon],
            "lr": run.muon_lr,
            "weight_decay": 0.01,
            "momentum": MUON_MOMENTUM,
            "muon": True,
        },
    ]
    groups = [{**group, "initial_lr": group["lr"]} for group in groups if group["params"]]
    # A fused step unscales float16 gradients itself, which would hide them from clipping and from Muon.
    return MuonAdamW(groups, lr=run.lr, betas=BETAS, fused=run.precision != "16-mixed")


def _has(name: str, parts: Iterable[str]) -> bool:
    return any(part in name for part in parts)
