"""float32 encoder file -> int8: the transformer's linear layers, weights per channel, activations as they come.

Dynamic quantisation (ONNX Runtime's `quantize_dynamic`) needs no calibration set: each activation's range is taken when
it is there. Convolutions, attention and heads stay float32. Where processors have VNNI or AMX, the products are several
times faster; elsewhere they may be slower than float32, so that the export measures before it ships.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.errors import GraphError

LAYER_PREFIX = "encoder.sam.layers."


def write_int8(source: Path, path: Path) -> Path:
    """Quantise the linear layers of an exported float32 encoder.

    Args:
        source: an encoder exported in float32.
        path: the file to write.

    Raises:
        GraphError: the file has no such layers.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(str(source))
    names = _gemms_to_products(model)
    if not names:  # none named would mean all to the quantiser, heads and attention too
        raise GraphError(f"{source.name} has no linear layers under {LAYER_PREFIX}: nothing can be quantised")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, str(plain))
        quantize_dynamic(
            plain,
            path,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul"],
            nodes_to_quantize=names,
        )
    return path


def _gemms_to_products(model: onnx.ModelProto) -> list[str]:
    """Split each Gemm of the layers into MatMul and Add, which is what the quantiser knows; names of the products."""
    weights = {item.name: item for item in model.graph.initializer}
    nodes: list[Any] = []
    names: list[str] = []
    for node in model.graph.node:
        if node.op_type != "Gemm" or not node.input[1].startswith(LAYER_PREFIX):
            nodes.append(node)
            continue
        weight = weights[node.input[1]]
        transposed = np.ascontiguousarray(numpy_helper.to_array(weight).T)  # torch's (out, in)
        weight.CopyFrom(numpy_helper.from_array(transposed, weight.name))
        names.append(f"{node.name}_product")
        product = node.output[0] if len(node.input) < 3 else f"{node.output[0]}_product"
        nodes.append(helper.make_node("MatMul", node.input[:2], [product], name=names[-1]))
        if len(node.input) == 3:
            nodes.append(helper.make_node("Add", [product, node.input[2]], node.output, name=f"{node.name}_bias"))
    told = [item for item in model.graph.value_info if item.name not in weights]  # the transposed ones changed shape
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.value_info.extend(told)
    return names


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on every run to run its own preprocessing first; ours is done by the exporter."""

    def other(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    logging.getLogger().addFilter(other)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(other)
