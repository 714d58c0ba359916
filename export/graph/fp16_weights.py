"""float32 graphs whose weights lie on disk as float16: half the size, the same float32 arithmetic.

Each large weight becomes a float16 tensor and a Cast, which runtimes fold into a float32 constant as they load. The
gate judges the file as it was written, so what the rounding costs is measured like everything else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LEAST_NUMBERS = 1024
"""Smaller tensors (biases, scales, constants of the arithmetic) stay as they are: little to gain, more to lose."""
MOST_ERROR = 1e-3
"""Root mean square of the rounding over that of the weight; beyond it (numbers below float16's range) it stays."""
EXACT = "identity."
"""The identity head stays: rounding its weights alone turned embeddings of the shipped model to a cosine of 0.99997,
rounding all others together to 0.999997 at worst."""
SUFFIX = ".float16"


def store_half(path: Path) -> int:
    """Rewrite an ONNX file in place. Returns how many tensors are float16 now."""
    model = onnx.load(path)
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        half = _rounded(tensor)
        if half is None:
            kept.append(tensor)
            continue
        kept.append(numpy_helper.from_array(half, tensor.name + SUFFIX))
        cast = helper.make_node("Cast", [tensor.name + SUFFIX], [tensor.name], f"{tensor.name}.cast")
        cast.attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
        casts.append(cast)
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return len(casts)


def _rounded(tensor: TensorProto) -> NDArray[np.float16] | None:
    """The tensor in float16, or None where it should stay."""
    small = int(np.prod(tensor.dims)) < LEAST_NUMBERS
    if tensor.data_type != TensorProto.FLOAT or small or tensor.name.startswith(EXACT):
        return None
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    error = np.sqrt(np.mean((half.astype(np.float32) - values) ** 2))
    fits = np.isfinite(half).all() and error <= MOST_ERROR * np.sqrt(np.mean(values**2))
    return half if fits else None
