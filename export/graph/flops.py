"""How much arithmetic a graph holds: what its matrix products and convolutions cost, counted and not measured.

Counted on the plain form of attention, so that a form which folds other work into its products gains nothing by it.
"""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from bundle.manifest import Manifest
from export.graph.rewrite import rewrite
from export.graph.wrappers import DecoderGraph, EncoderGraph
from training.model_config import ModelConfig
from training.networks.vae import EarVAE


def matmul_gflop(vae: EarVAE) -> dict[str, float]:
    """Floating-point operations, two a multiply-add, in units of 1e9, of each graph for one picture."""
    plain = rewrite(vae).to("meta")
    side, dim = vae.config.image_size_px, vae.config.latent_dim
    image = torch.empty(1, side, side, 3, dtype=torch.uint8, device="meta")
    latent = torch.empty(1, dim, device="meta")
    return {"encoder": _gflop(EncoderGraph(plain), image), "decoder": _gflop(DecoderGraph(plain), latent)}


def encoder_gflop(manifest: Manifest) -> float | None:
    """`matmul_gflop` of a bundle's encoder, from the architecture in its manifest; None where that tells none."""
    architecture = manifest.training.get("architecture")
    return matmul_gflop(EarVAE(ModelConfig.from_dict(architecture)))["encoder"] if architecture else None


def _gflop(graph: torch.nn.Module, example: torch.Tensor) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        graph(example)
    return round(int(counter.get_total_flops()) / 1e9, 6)
