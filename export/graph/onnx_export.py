"""torch module -> one ONNX file with a dynamic batch, checked against its contract.

Uses the exporter of `torch.export` ("dynamo"). Knows nothing of ears: names, shapes and dtypes are the caller's.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir.passes.common as ir_passes
import torch
from torch import nn

from export.errors import GraphError

EXAMPLE_BATCH = 2
"""`torch.export` takes a batch of 1 for a constant; 2 stays symbolic."""


@dataclass(frozen=True)
class GraphSpec:
    """What goes in and what comes out of a graph."""

    name: str
    input_name: str
    input_shape: tuple[int, ...]
    """Without the batch."""
    input_dtype: torch.dtype
    output_names: tuple[str, ...]
    opset: int


def export_onnx(graph: nn.Module, spec: GraphSpec, path: Path) -> None:
    """Write `graph` to `path` as a single file.

    Raises:
        GraphError: the graph cannot be exported, is invalid, or its tensors differ from `spec`.
    """
    example = torch.zeros(EXAMPLE_BATCH, *spec.input_shape, dtype=spec.input_dtype)
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            graph.eval(),
            (example,),
            dynamo=True,
            opset_version=spec.opset,
            input_names=[spec.input_name],
            output_names=list(spec.output_names),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    if program is None:
        raise GraphError(f"{spec.name}: torch.onnx.export gave no program")
    # Node metadata holds stack traces with the paths of this machine: they are nobody's business and half the file.
    ir_passes.ClearMetadataAndDocStringPass()(program.model)
    program.save(str(path), external_data=False)
    check_onnx(path, spec)


def check_onnx(path: Path, spec: GraphSpec) -> None:
    """Raises GraphError unless `path` is a valid graph with the inputs and outputs of `spec` and a dynamic batch."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(f"{spec.name}: the ONNX checker refuses the graph: {error}") from None
    graph = onnx.load(str(path), load_external_data=False).graph
    _check_names("input", [item.name for item in graph.input], [spec.input_name], spec)
    _check_names("output", [item.name for item in graph.output], spec.output_names, spec)
    for item in (*graph.input, *graph.output):
        batch = item.type.tensor_type.shape.dim[0]
        if batch.HasField("dim_value"):
            raise GraphError(
                f"{spec.name}: the batch of {item.name!r} is fixed at {batch.dim_value}; it must be dynamic"
            )


def _check_names(kind: str, actual: Sequence[str], expected: Sequence[str], spec: GraphSpec) -> None:
    if list(actual) != list(expected):
        raise GraphError(f"{spec.name}: {kind}s are {list(actual)}; they must be {list(expected)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch's exporter logs on every export and a user cannot act on."""
    registry = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registry.level
    registry.setLevel(logging.ERROR)  # "torchvision is not installed. Skipping torchvision::nms": we use none of it
    with warnings.catch_warnings():
        # torch 2.13 copies its own pytree specs with a deprecated check of its own.
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        try:
            yield
        finally:
            registry.setLevel(level)
