"""The reference of the parity judge: the trained networks in torch, float32, on the crops; and how graphs are run.

Knows how to run graphs, not what agreement is good enough (`export.parity.judge`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bundle.framing import Framing
from bundle.golden import OUTPUTS, golden_crops
from bundle.image import frame
from bundle.session import Session
from export.config import MIN_PARITY_CROPS, ExportConfig
from export.crops import Crops
from export.errors import NoCrops
from export.graph.wrappers import DECODER_OUTPUTS, ENCODER_OUTPUTS, DecoderGraph, EncoderGraph
from export.parity.judge import ParityError, constant
from training.networks.vae import EarVAE

Outputs = dict[str, NDArray[Any]]
logger = logging.getLogger(__name__)

SMALL_BATCH_INPUTS = 24
"""Inputs run at the small batches, where running all of them would show nothing more."""
MOST_CROPS = 256
PRIOR_SAMPLES = 8
"""Latents drawn from N(0, I) that the decoders are compared on besides the crops' own."""
FEW_GOLDEN = 3
"""Golden crops of a model that takes seconds for each: a service runs them before it is ready."""
SLOW_MODEL_CROPS = 64
"""Where the time budget allows fewer crops than this, the model is run one crop at a time."""


@dataclass(frozen=True)
class Reference:
    """What torch computes, in float32, with the networks as they were trained."""

    crops: Crops
    encoded: Outputs
    """embedding, mu, logvar: (N, D) float32."""
    latents: NDArray[np.float32]
    """(M, D): the crops' mu, and samples of the prior."""
    decoded: NDArray[np.uint8]
    """(M, S, S, 3)."""


def make_reference(vae: EarVAE, crops: Crops, config: ExportConfig) -> Reference:
    """Run torch on as many crops as `config` allows.

    Raises:
        NoCrops: too few crops.
        ParityError: torch gives different crops the same vector, so that nothing could be compared.
    """
    if len(crops) < MIN_PARITY_CROPS:
        raise NoCrops(f"--crops: {len(crops)} pictures; at least {MIN_PARITY_CROPS} different ones are needed")
    encoder = EncoderGraph(vae).eval()
    count = config.parity_crops or crops_within(config.parity_budget_s, encoder, crops.pixels[:1])
    sample = crops.sample(count)
    logger.info("torch on %d crops, the reference of the comparison", len(sample))
    encoded = run_torch(encoder, sample.pixels, ENCODER_OUTPUTS, torch_batch(len(sample)))
    if problems := constant(encoded, "in torch"):
        raise ParityError(f"nothing can be compared, no bundle was written: {'; '.join(problems)}")
    prior = np.random.default_rng(0).standard_normal((PRIOR_SAMPLES, vae.config.latent_dim), dtype=np.float32)
    latents = np.concatenate([encoded["mu"], prior])
    decoded = run_torch(DecoderGraph(vae).eval(), latents, DECODER_OUTPUTS, 16)[DECODER_OUTPUTS[0]]
    return Reference(sample, encoded, latents, decoded)


def torch_batch(count: int) -> int:
    """One at a time where the budget allowed few, since these are large; 16 otherwise."""
    return 1 if count < SLOW_MODEL_CROPS else 16


def golden_outputs(vae: EarVAE, count: int) -> tuple[NDArray[np.uint8], Outputs]:
    """The shipped crops and torch's outputs for them; fewer of them where the reference has few crops (`count`)."""
    framing = Framing(size_px=vae.config.image_size_px)
    shipped = golden_crops()[: None if count >= SLOW_MODEL_CROPS else FEW_GOLDEN]
    crops = np.stack([frame(crop, None, framing) for crop in shipped])
    outputs = run_torch(EncoderGraph(vae).eval(), crops, ENCODER_OUTPUTS, torch_batch(count))
    outputs |= run_torch(DecoderGraph(vae).eval(), outputs["mu"], DECODER_OUTPUTS, 16)
    return crops, {name: outputs[name] for name in OUTPUTS}


def run_torch(graph: nn.Module, inputs: NDArray[Any], names: Sequence[str], batch: int) -> Outputs:
    """The outputs of a graph module by name, computed `batch` inputs at a time."""
    parts: list[tuple[NDArray[Any], ...]] = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch):
            result = graph(torch.from_numpy(np.ascontiguousarray(inputs[start : start + batch])))
            outputs = (result,) if isinstance(result, torch.Tensor) else result
            parts.append(tuple(output.numpy() for output in outputs))
    return {name: np.concatenate([part[index] for part in parts]) for index, name in enumerate(names)}


def run_session(session: Session, input_name: str, inputs: NDArray[Any], batch: int) -> Outputs:
    """The outputs of a session by name, computed `batch` inputs at a time."""
    parts = [session.run({input_name: inputs[start : start + batch]}) for start in range(0, len(inputs), batch)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def batches(count: int, max_batch: int) -> Iterator[tuple[int, int]]:
    """(batch size, inputs to run): 1, 3 and the largest, for `count` inputs at hand."""
    largest = min(count, max_batch)
    for batch in sorted({1, min(3, largest), largest}):
        yield batch, count if batch == largest else min(count, SMALL_BATCH_INPUTS)


def crops_within(budget_s: float, graph: nn.Module, crop: NDArray[np.uint8]) -> int:
    """How many crops the torch graph can take in about `budget_s`: between `MIN_PARITY_CROPS` and `MOST_CROPS`.

    crop: (1, S, S, 3) uint8, run once, and once more where the first run is quick: it has threads and caches to warm.
    """
    cost_s = _run_once_s(graph, crop)
    if cost_s < budget_s / MIN_PARITY_CROPS:
        cost_s = _run_once_s(graph, crop)
    return int(min(max(budget_s / max(cost_s, 1e-9), MIN_PARITY_CROPS), MOST_CROPS))


def _run_once_s(graph: nn.Module, crop: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        graph(torch.from_numpy(crop))
    return time.perf_counter() - start
