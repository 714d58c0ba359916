"""What torch says: the networks as trained, in float32, run on the crops that everything else is compared on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bundle.framing import Framing
from bundle.golden import OUTPUTS, golden_crops
from bundle.image import frame
from export.config import MIN_PARITY_CROPS, ExportConfig
from export.crops import Crops
from export.errors import NoCrops
from export.graph.wrappers import DECODER_OUTPUTS, ENCODER_OUTPUTS, DecoderGraph, EncoderGraph
from export.parity.judge import ParityError, constant
from export.parity.run import Outputs, crops_within, run_torch
from export.parity.variants import Reference
from training.networks.vae import EarVAE

PRIOR_SAMPLES = 8
"""Latents drawn from N(0, I) that the decoders are compared on besides the crops' own."""
FEW_GOLDEN = 3
"""Golden crops of a model that takes seconds for each: a service runs them before it is ready."""
SLOW_CROP_CROPS = 64


def make_reference(
    vae: EarVAE, crops: Crops, config: ExportConfig, tell: Callable[[str], None] = lambda _: None
) -> Reference:
    """Run torch on as many crops as `config` allows.

    Raises:
        NoCrops: too few crops.
        ParityError: torch gives different crops the same vector, so that nothing could be compared.
    """
    if len(crops) < MIN_PARITY_CROPS:
        raise NoCrops(f"--crops: {len(crops)} pictures; the gate needs at least {MIN_PARITY_CROPS} different ones")
    encoder = EncoderGraph(vae).eval()
    count = config.parity_crops or crops_within(config.parity_budget_s, encoder, crops.pixels[:1])
    chosen = crops.sample(count)
    tell(f"torch on {len(chosen)} crops, the reference of the gate")
    encoded = run_torch(encoder, chosen.pixels, ENCODER_OUTPUTS, torch_batch(len(chosen)))
    if flat := constant(encoded, "in torch"):
        raise ParityError(f"nothing can be compared, no bundle was written: {'; '.join(flat)}")
    prior = np.random.default_rng(0).standard_normal((PRIOR_SAMPLES, vae.config.latent_dim), dtype=np.float32)
    latents = np.concatenate([encoded["mu"], prior])
    decoded = run_torch(DecoderGraph(vae).eval(), latents, DECODER_OUTPUTS, 16)[DECODER_OUTPUTS[0]]
    return Reference(chosen, encoded, latents, decoded)


def torch_batch(count: int) -> int:
    """One at a time where the budget allowed few, since these are large; 16 otherwise."""
    return 1 if count < SLOW_CROP_CROPS else 16


def golden_outputs(vae: EarVAE, count: int) -> tuple[NDArray[np.uint8], Outputs]:
    """The shipped crops and what torch gives for them; fewer of them where only few fitted the gate's budget."""
    framing = Framing(size_px=vae.config.image_size_px)
    shipped = golden_crops()[: None if count >= SLOW_CROP_CROPS else FEW_GOLDEN]
    crops = np.stack([frame(crop, None, framing) for crop in shipped])
    outputs = run_torch(EncoderGraph(vae).eval(), crops, ENCODER_OUTPUTS, torch_batch(count))
    outputs |= run_torch(DecoderGraph(vae).eval(), outputs["mu"], DECODER_OUTPUTS, 16)
    return crops, {name: outputs[name] for name in OUTPUTS}
