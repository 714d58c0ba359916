"""One file of a bundle: a graph at a precision, exported, and compared with torch on every runtime of this machine.

The CPU decides whether a file is in the bundle, since every machine has one. A file that fails on another runtime stays
and is refused on that runtime alone: `bundle.model.choose_variant` reads the manifest's rows. Knows no manifest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from bundle.errors import BundleError
from bundle.manifest import Graph, GraphContract, Precision, Tensor
from bundle.runtimes import candidates, open_session
from bundle.session import Session
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
from export.parity.fp16_bisect import UnstableModule, find_unstable
from export.parity.fp16_emulation import RUNTIME as EMULATED
from export.parity.fp16_emulation import run_half
from export.parity.judge import LIMITS, ParityRow, judge_decoder, judge_encoder
from export.parity.reference import SMALL_BATCH_INPUTS, Outputs, Reference, batches, run_session, run_torch
from training.model_config import ModelConfig
from training.networks.vae import EarVAE

logger = logging.getLogger(__name__)

RUNTIME = "onnxruntime-cpu"
DECIDING_RUNTIMES = (RUNTIME, EMULATED)
"""The runtimes whose rows decide whether a file is in the bundle."""
BISECTION_INPUTS = 6


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


def decides(row: ParityRow) -> bool:
    """Whether this row decides on the file, rather than on one runtime of this machine."""
    return row.runtime in DECIDING_RUNTIMES


def judge_variant(
    path: Path, graph: Graph, precision: Precision, reference: Reference, max_batch: int
) -> list[ParityRow]:
    """Run an exported file on the CPU at several batch sizes and judge each against torch."""
    session = open_session(path, RUNTIME, precision=precision)
    try:
        return judge_session(session, path.name, graph, precision, reference, max_batch)
    finally:
        session.close()


def judge_other_runtimes(
    path: Path, graph: Graph, precision: Precision, reference: Reference, max_batch: int
) -> list[ParityRow]:
    """Rows of every other runtime here that can load the file; TensorRT builds its engine for that (minutes).

    One that cannot load it is logged and has no row: it will not load it when it serves either.
    """
    rows: list[ParityRow] = []
    for runtime in candidates():
        if runtime in DECIDING_RUNTIMES:
            continue
        logger.info("%s: on %s", path.name, runtime)
        try:
            session = open_session(path, runtime, precision=precision)
        except BundleError as error:
            logger.warning("%s: not compared on %s: %s", path.name, runtime, error)
            continue
        try:
            rows += judge_session(session, path.name, graph, precision, reference, max_batch)
        except Exception as error:  # each runtime has exceptions of its own
            text = f"it does not run: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            rows.append(ParityRow(graph, precision, runtime, max_batch, 0, refusals=(text,)))
        finally:
            session.close()
    return rows


def judge_session(
    session: Session, file: str, graph: Graph, precision: Precision, reference: Reference, max_batch: int
) -> list[ParityRow]:
    """Judge the outputs of an open session of an exported file, at several batch sizes."""
    name, inputs = (ENCODER_INPUT, reference.crops.pixels) if graph == "encoder" else (DECODER_INPUT, reference.latents)
    rows = []
    for batch, count in batches(len(inputs), max_batch):
        logger.info("%s: batch %d, %d inputs", file, batch, count)
        outputs = run_session(session, name, inputs[:count], batch)
        row = ParityRow(graph, precision, session.runtime, batch, count)
        rows.append(_judge(row, reference, outputs))
    return rows


def judge_emulated_fp16(
    rewritten: EarVAE, graph: Graph, reference: Reference, keep_float32: Sequence[str] = ()
) -> ParityRow:
    """Judge the fp16 variant as a GPU would compute it, which ONNX Runtime on a CPU does not show."""
    count = min(len(reference.crops), SMALL_BATCH_INPUTS)
    outputs = run_graph(to_half(rewritten, keep_float32), graph, reference, count, run_half)
    return _judge(ParityRow(graph, "fp16", EMULATED, count, count), reference, outputs)


def unstable_modules(
    rewritten: EarVAE, graph: Graph, reference: Reference, keep_float32: Sequence[str] = ()
) -> list[UnstableModule]:
    """The modules that make the fp16 variant of a graph fail, by bisection on a few crops."""
    count = min(len(reference.crops), BISECTION_INPUTS)

    def passes(networks: EarVAE) -> bool:
        row = ParityRow(graph, "fp16", EMULATED, count, count)
        return _judge(row, reference, run_graph(networks, graph, reference, count)).passed

    return find_unstable(rewritten, graph, passes, keep_float32)


def run_graph(
    networks: EarVAE, graph: Graph, reference: Reference, count: int, run: Callable[..., Outputs] = run_torch
) -> Outputs:
    """The outputs of the networks, in torch, for the first `count` inputs of the reference."""
    if graph == "encoder":
        return run(EncoderGraph(networks).eval(), reference.crops.pixels[:count], ENCODER_OUTPUTS, count)
    return run(DecoderGraph(networks).eval(), reference.latents[:count], DECODER_OUTPUTS, count)


def _judge(row: ParityRow, reference: Reference, outputs: dict[str, NDArray[Any]]) -> ParityRow:
    """Fill in `row`, whose outputs are those of the first `row.crops` inputs of the reference."""
    limits = LIMITS[row.precision]
    if row.graph == "decoder":
        return judge_decoder(row, reference.decoded[: row.crops], outputs[DECODER_OUTPUTS[0]], limits)
    expected = {name: values[: row.crops] for name, values in reference.encoded.items()}
    identities = reference.crops.identities
    return judge_encoder(row, expected, outputs, limits, None if identities is None else identities[: row.crops])
