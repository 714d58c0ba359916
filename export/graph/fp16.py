"""Half precision, in two independent forms.

`to_half`: the arithmetic of chosen regions in float16, for GPUs. Transformer, convolution blocks and decoder stages are
float16; layer norms (their statistics overflow), softmax, linear heads and all edges stay float32, by casts in the
graph, which a strongly typed TensorRT obeys. `store_half`: float32 arithmetic whose weights lie on disk as float16,
each followed by a Cast that runtimes fold as they load: half the size.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.errors import OptionError
from training.networks.vae import EarVAE

HALF_REGIONS = ("encoder.sam", "encoder.blocks", "decoder.stages")
"""What is converted. All else, the heads among them, stays float32."""
FLOAT32_TYPES: tuple[type[nn.Module], ...] = (nn.LayerNorm, nn.Softmax)
"""Modules inside the regions that stay float32."""


def to_half(vae: EarVAE, keep_float32: Collection[str] = ()) -> EarVAE:
    """A copy of `vae` (rewritten, see `export.graph.rewrite`) whose regions compute in float16.

    Args:
        vae: float32 networks.
        keep_float32: names of further modules to keep in float32, such as `encoder.sam.layers.3.lin1`.

    Raises:
        OptionError: `keep_float32` names a module that is not there.
    """
    names = {name for name, _ in vae.named_modules()}
    if unknown := sorted(set(keep_float32) - names):
        raise OptionError(
            f"--keep-float32 {','.join(unknown)}: no such module; names are like encoder.sam.layers.3.lin1, "
            f"decoder.stages.0 or a whole region ({', '.join(HALF_REGIONS)})"
        )
    halved = copy.deepcopy(vae)
    for name in HALF_REGIONS:
        if name in keep_float32:
            continue
        region = halved.get_submodule(name).half()
        for island in _islands(region, name, keep_float32):
            island.float()
            _cast_around(island, torch.float32, torch.float16)
        _cast_around(region, torch.float16, torch.float32)
    return halved


def _islands(module: nn.Module, name: str, keep_float32: Collection[str]) -> Iterator[nn.Module]:
    """The outermost modules below `module`, itself included, that stay float32."""
    if name in keep_float32 or isinstance(module, FLOAT32_TYPES):
        yield module
        return
    for child_name, child in module.named_children():
        yield from _islands(child, f"{name}.{child_name}", keep_float32)


def _cast_around(module: nn.Module, inside: torch.dtype, outside: torch.dtype) -> None:
    """Cast floating inputs of `module` to `inside` and its output to `outside`."""

    def enter(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(item.to(inside) if _is_float(item) else item for item in inputs)

    def leave(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        return output.to(outside) if _is_float(output) else output

    module.register_forward_pre_hook(enter)
    module.register_forward_hook(leave)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


LEAST_NUMBERS = 1024
"""Smaller tensors (biases, scales, constants of the arithmetic) stay float32."""
MOST_ERROR = 1e-3
"""Root mean square of the rounding over that of the weight; beyond it (numbers below float16's range) it stays."""
EXACT = "identity."
"""The identity head stays: rounding its weights alone turned embeddings of the shipped model to a cosine of 0.99997,
rounding all others together to 0.999997 at worst."""
SUFFIX = ".float16"


def store_half(path: Path, most_error: float = MOST_ERROR) -> int:
    """Rewrite an ONNX file in place. Returns how many tensors are float16 now. most_error: see `MOST_ERROR`."""
    model = onnx.load(path)
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        half = _rounded(tensor, most_error)
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


def _rounded(tensor: TensorProto, most_error: float) -> NDArray[np.float16] | None:
    """The tensor in float16, or None where it should stay."""
    small = int(np.prod(tensor.dims)) < LEAST_NUMBERS
    if tensor.data_type != TensorProto.FLOAT or small or tensor.name.startswith(EXACT):
        return None
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    error = np.sqrt(np.mean((half.astype(np.float32) - values) ** 2))
    fits = np.isfinite(half).all() and error <= most_error * np.sqrt(np.mean(values**2))
    return half if fits else None
