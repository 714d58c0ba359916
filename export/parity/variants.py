"""One file of a bundle: a graph at a precision, exported and judged. Knows neither manifest nor folder layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.manifest import Graph, GraphContract, Precision, Tensor
from bundle.runtimes import open_session
from bundle.session import Session
from export.crops import Crops
from export.graph.fp16 import to_half
from export.graph.onnx_export import GraphSpec, export_onnx
from export.graph.wrappers import (
    DECODER_INPUT,
    DECODER_OUTPUTS,
    ENCODER_INPUT,
    ENCODER_OUTPUTS,
    DecoderGraph,
    EncoderGraph,
)
from export.parity.fp16_bisect import Offender, find_offenders
from export.parity.fp16_emulation import RUNTIME as HALF_RUNTIME
from export.parity.fp16_emulation import run_half
from export.parity.judge import ParityRow, judge_decoder, judge_encoder
from export.parity.limits import LIMITS
from export.parity.run import FEW, Outputs, batches, run_session, run_torch
from training.model_config import ModelConfig
from training.networks.vae import EarVAE

RUNTIME = "onnxruntime-cpu"
"""What decides on a file: every machine has it."""
FEW_FOR_BISECTION = 6


@dataclass(frozen=True)
class Reference:
    """What torch gave, in float32, with the networks as they were trained."""

    crops: Crops
    encoded: Outputs
    """embedding, mu, logvar: (N, D) float32."""
    latents: NDArray[np.float32]
    """(M, D): the crops' mu, and samples of the prior."""
    decoded: NDArray[np.uint8]
    """(M, S, S, 3)."""


def file_name(graph: Graph, precision: Precision) -> str:
    """`encoder.onnx`, `encoder.fp16.onnx`, ..."""
    return f"{graph}.onnx" if precision == "fp32" else f"{graph}.{precision}.onnx"


def contracts(config: ModelConfig) -> dict[Graph, GraphContract]:
    """The tensors at the edges of both graphs."""
    side, dim = config.image_size_px, config.latent_dim
    picture: list[int | str] = ["batch", side, side, 3]
    vector: list[int | str] = ["batch", dim]
    return {
        "encoder": GraphContract(
            inputs=[Tensor(name=ENCODER_INPUT, dtype="uint8", shape=picture)],
            outputs=[Tensor(name=name, dtype="float32", shape=vector) for name in ENCODER_OUTPUTS],
        ),
        "decoder": GraphContract(
            inputs=[Tensor(name=DECODER_INPUT, dtype="float32", shape=vector)],
            outputs=[Tensor(name=name, dtype="uint8", shape=picture) for name in DECODER_OUTPUTS],
        ),
    }


def write_variant(
    rewritten: EarVAE,
    graph: Graph,
    precision: Precision,
    folder: Path,
    opset: int,
    keep_float32: Sequence[str] = (),
) -> Path:
    """Export one graph of the rewritten networks. Raises GraphError.

    keep_float32: names of modules that stay float32 in the fp16 variant, besides those that do by design.
    """
    networks = to_half(rewritten, keep_float32) if precision == "fp16" else rewritten
    path = folder / file_name(graph, precision)
    side, dim = rewritten.config.image_size_px, rewritten.config.latent_dim
    if graph == "encoder":
        spec = GraphSpec(graph, ENCODER_INPUT, (side, side, 3), torch.uint8, ENCODER_OUTPUTS, opset)
        export_onnx(EncoderGraph(networks), spec, path)
    else:
        spec = GraphSpec(graph, DECODER_INPUT, (dim,), torch.float32, DECODER_OUTPUTS, opset)
        export_onnx(DecoderGraph(networks), spec, path)
    return path


def judge_variant(
    path: Path,
    graph: Graph,
    precision: Precision,
    reference: Reference,
    max_batch: int,
    tell: Callable[[str], None] = lambda _: None,
) -> list[ParityRow]:
    """Run an exported file at several batch sizes and judge each against torch."""
    session = open_session(path, RUNTIME, precision=precision)
    try:
        return judge_session(session, path.name, graph, precision, reference, max_batch, tell)
    finally:
        session.close()


def judge_session(
    session: Session,
    file: str,
    graph: Graph,
    precision: Precision,
    reference: Reference,
    max_batch: int,
    tell: Callable[[str], None],
) -> list[ParityRow]:
    """Judge what an open session gives for an exported file, at several batch sizes."""
    name, inputs = (ENCODER_INPUT, reference.crops.pixels) if graph == "encoder" else (DECODER_INPUT, reference.latents)
    rows = []
    for batch, count in batches(len(inputs), max_batch):
        tell(f"{file}: batch {batch}, {count} inputs")
        given = run_session(session, name, inputs[:count], batch)
        row = ParityRow(graph, precision, session.runtime, batch, count)
        rows.append(_judge(row, reference, given, count))
    return rows


def judge_half(rewritten: EarVAE, graph: Graph, reference: Reference, keep_float32: Sequence[str] = ()) -> ParityRow:
    """Judge the fp16 variant as a GPU would compute it, which ONNX Runtime on a CPU does not show."""
    count = min(len(reference.crops), FEW)
    given = run_graph(to_half(rewritten, keep_float32), graph, reference, count, run_half)
    return _judge(ParityRow(graph, "fp16", HALF_RUNTIME, count, count), reference, given, count)


def offenders(
    rewritten: EarVAE, graph: Graph, reference: Reference, keep_float32: Sequence[str] = ()
) -> list[Offender]:
    """The modules that make the fp16 variant of a graph fail, by bisection on a few crops."""
    count = min(len(reference.crops), FEW_FOR_BISECTION)

    def passes(networks: EarVAE) -> bool:
        row = ParityRow(graph, "fp16", HALF_RUNTIME, count, count)
        return _judge(row, reference, run_graph(networks, graph, reference, count), count).passed

    return find_offenders(rewritten, graph, passes, keep_float32)


def run_graph(
    networks: EarVAE, graph: Graph, reference: Reference, count: int, run: Callable[..., Outputs] = run_torch
) -> Outputs:
    """What the networks give, in torch, for the first `count` inputs of the reference."""
    if graph == "encoder":
        return run(EncoderGraph(networks).eval(), reference.crops.pixels[:count], ENCODER_OUTPUTS, count)
    return run(DecoderGraph(networks).eval(), reference.latents[:count], DECODER_OUTPUTS, count)


def _judge(row: ParityRow, reference: Reference, given: dict[str, NDArray[Any]], count: int) -> ParityRow:
    limits = LIMITS[row.precision]
    if row.graph == "decoder":
        return judge_decoder(row, reference.decoded[:count], given[DECODER_OUTPUTS[0]], limits)
    wanted = {name: values[:count] for name, values in reference.encoded.items()}
    identities = reference.crops.identities
    return judge_encoder(row, wanted, given, limits, None if identities is None else identities[:count])
