"""Half precision by design, not by chance: which parts of a graph compute in float16 and which stay in float32.

Transformer, convolution blocks and decoder stages are float16. Layer norms (their statistics overflow), softmax and the
linear heads are float32, and so are all edges. The casts are in the graph itself, so that a strongly typed TensorRT
obeys them.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

import torch
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
    known = {name for name, _ in vae.named_modules()}
    if unknown := sorted(set(keep_float32) - known):
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
