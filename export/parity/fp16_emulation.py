"""What float16 does on a GPU, computed on a CPU: products accumulate in float32, every result is rounded to float16.

ONNX Runtime on x86 cannot show it: it runs float16 graphs in float32 and rounds only here and there, so that a value
past 65504 goes unnoticed. Here it becomes infinite, as it would on the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from export.parity.reference import Outputs, run_torch

RUNTIME = "torch-fp16"
"""Name of this emulation in parity rows."""

_aten = torch.ops.aten
_PRODUCTS = {  # as inference mode shows them, and as other modes do
    *(_aten.linear.default, _aten.matmul.default, _aten.conv2d.default, _aten.conv_transpose2d.input),
    *(_aten.mm.default, _aten.addmm.default, _aten.bmm.default, _aten.convolution.default),
}


class HalfProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs matrix products and convolutions of float16 tensors in float32 and rounds their result to float16.

    The other operations do so themselves; CPUs differ in how they accumulate float16 products, and most are slow at it.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func not in _PRODUCTS or not any(_is_half(item) for item in args):
            return func(*args, **(kwargs or {}))
        return func(*(item.float() if _is_half(item) else item for item in args), **(kwargs or {})).half()


def run_half(graph: nn.Module, inputs: NDArray[Any], names: tuple[str, ...], batch: int) -> Outputs:
    """`run_torch` of a graph module with float16 parts, as a GPU would compute it."""
    with HalfProducts():  # type: ignore[no-untyped-call]
        return run_torch(graph, inputs, names, batch)


def _is_half(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float16
