"""Which layer does not bear float16: a bisection over the networks' modules, in the order in which they compute.

Every module in question gets its weights and its output rounded to float16 (past 65504: infinite) in an otherwise
float32 run of torch. The shortest prefix that fails ends at an unstable module; it is kept in float32, and the search
goes on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bundle.manifest import Graph
from export.graph.fp16 import FLOAT32_TYPES, HALF_REGIONS
from training.networks.vae import EarVAE

MOST_MODULES = 8
LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class UnstableModule:
    """A module whose rounding to float16 makes the parity judge refuse."""

    name: str
    """As in `EarVAE`, for `--keep-float32`."""
    largest: float
    """Largest absolute value of its output in float32."""

    def __str__(self) -> str:
        cause = ", past float16's 65504" if self.largest > LARGEST_HALF else ""
        return f"{self.name} (largest output {self.largest:.4g}{cause})"


def find_unstable(
    vae: EarVAE, graph: Graph, passes: Callable[[EarVAE], bool], keep_float32: Sequence[str] = ()
) -> list[UnstableModule]:
    """Name the modules of a graph that do not bear float16.

    Args:
        vae: rewritten networks, float32 (`export.graph.rewrite`).
        graph: which half of them is in question.
        passes: runs the networks and judges their outputs.
        keep_float32: names of modules that stay float32 anyway.

    Returns:
        At most `MOST_MODULES`, in the order of the networks; empty where rounding every module passes, so that the
        fault lies between modules (attention scores, residual sums) or is not one of precision.
    """
    kept_float32: list[str] = list(keep_float32)
    unstable: list[UnstableModule] = []
    while len(unstable) < MOST_MODULES:
        suspects = half_modules(vae, graph, kept_float32)
        name = _first_failing(vae, suspects, passes)
        if name is None:
            break
        unstable.append(UnstableModule(name, _largest_output(vae, name, passes)))
        kept_float32.append(name)
    return unstable


def half_modules(vae: EarVAE, graph: Graph, keep_float32: Sequence[str] = ()) -> list[str]:
    """Names of a graph's modules that compute in float16, children before parents: the order in which they finish."""
    names: list[str] = []

    def visit(name: str, module: nn.Module) -> None:
        if name in keep_float32 or isinstance(module, FLOAT32_TYPES):
            return
        for child_name, child in module.named_children():
            visit(f"{name}.{child_name}", child)
        if not isinstance(module, nn.ModuleList):
            names.append(name)

    for region in HALF_REGIONS:
        if region.startswith(f"{graph}."):
            visit(region, vae.get_submodule(region))
    return names


def _first_failing(vae: EarVAE, suspects: Sequence[str], passes: Callable[[EarVAE], bool]) -> str | None:
    """The module that ends the shortest failing prefix of `suspects`; None where all of them together pass."""
    if _passes_rounded(vae, suspects, passes):
        return None
    good, bad = 0, len(suspects)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _passes_rounded(vae, suspects[:middle], passes):
            good = middle
        else:
            bad = middle
    return suspects[bad - 1]


def _passes_rounded(vae: EarVAE, names: Sequence[str], passes: Callable[[EarVAE], bool]) -> bool:
    rounded = copy.deepcopy(vae)
    for name in names:
        module = rounded.get_submodule(name)
        for parameter in module.parameters(recurse=False):
            parameter.data = _round(parameter.data)
        module.register_forward_hook(lambda module, inputs, output: _round(output))
    return passes(rounded)


def _largest_output(vae: EarVAE, name: str, passes: Callable[[EarVAE], bool]) -> float:
    maxima = [0.0]

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        maxima.append(float(output.abs().max()))

    with _hooked(vae.get_submodule(name), record):
        passes(vae)
    return max(maxima)


@contextmanager
def _hooked(module: nn.Module, hook: Callable[..., None]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _round(values: Any) -> Any:
    return values.half().to(values.dtype) if isinstance(values, Tensor) and values.is_floating_point() else values
