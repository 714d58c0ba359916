"""A graph that runs: the one seam between what is computed and how.

Knows the runtimes by name and which of them can be tried here; each lives in its own `session_*.py`, imported only when
asked for. `FakeSession` stands in for a graph in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from bundle.errors import BundleError, ContractError, RuntimeUnavailable

Arrays = Mapping[str, NDArray[Any]]
Shape = tuple[int | str, ...]
"""A word, or -1 where the runtime names no dimension, is a free size."""

RUNTIMES = ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "onnxruntime-cpu")
"""The fastest first."""
AUTO = "auto"


@dataclass(frozen=True)
class Signature:
    """Name -> (numpy dtype name, shape) at the edges of a graph."""

    inputs: Mapping[str, tuple[str, Shape]]
    outputs: Mapping[str, tuple[str, Shape]]


class Session(Protocol):
    """One loaded graph. `run` may be called from several threads at once."""

    runtime: str
    """One of RUNTIMES: what really computes, not what was asked for."""
    precision: str
    """fp32, fp16 or int8."""

    def signature(self) -> Signature:
        """What the graph takes and gives."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Every output by name. Raises ContractError where names, dtypes or shapes are wrong."""

    def close(self) -> None:
        """Free its memory; a closed session must not be run."""


def open_session(
    path: str | Path, runtime: str = AUTO, threads: int = 0, precision: str = "fp32", build: bool = True
) -> Session:
    """Load an ONNX file.

    runtime: one of RUNTIMES, or "auto": the first of `candidates()` that loads. threads: of the CPU, 0 for one a
    physical core. precision: what the file holds. build: whether TensorRT may build an engine that is not in the cache,
    which takes minutes; "auto" never does. Raises RuntimeUnavailable with what is available.
    """
    if runtime != AUTO:
        return _open(Path(path), runtime, threads, precision, build)
    reasons = []
    for name in candidates():
        try:
            return _open(Path(path), name, threads, precision, build=False)
        except BundleError as error:
            reasons.append(f"{name}: {error}")
    raise RuntimeUnavailable(f"no runtime can load {path}; {'; '.join(reasons) or 'none is installed'}")


def candidates() -> tuple[str, ...]:
    """Runtimes that are installed here and worth trying, the fastest first. TensorRT counts only beside a GPU."""
    found: list[str] = []
    from bundle.engine_flavour import installed_flavours

    if flavours := installed_flavours():
        from bundle.cuda import gpu_present

        found += flavours if gpu_present() else ()
    try:
        from bundle.session_onnx import providers
    except RuntimeUnavailable:
        return tuple(found)
    return (*found, *(("onnxruntime-cuda",) if "CUDAExecutionProvider" in providers() else ()), "onnxruntime-cpu")


def _open(path: Path, runtime: str, threads: int, precision: str, build: bool) -> Session:
    match runtime:
        case "onnxruntime-cpu":
            from bundle.session_onnx import OnnxSession

            return OnnxSession(path, threads, precision)
        case "onnxruntime-cuda":
            from bundle.session_cuda import CudaSession

            return CudaSession(path, threads, precision)
        case "tensorrt" | "tensorrt-rtx":
            from bundle.session_tensorrt import open_tensorrt

            return open_tensorrt(path, runtime, precision, build)
    raise RuntimeUnavailable(
        f"unknown runtime {runtime!r}; there are {', '.join((AUTO, *RUNTIMES))}, and here can run: "
        f"{', '.join(candidates()) or 'none (install ear-teacher[cpu])'}"
    )


def check_inputs(inputs: Arrays, signature: Signature) -> None:
    """Raise ContractError unless the arrays are those the signature asks for, with one size for each free dimension."""
    if set(inputs) != set(signature.inputs):
        raise ContractError(f"inputs are {sorted(inputs)}; the graph takes {sorted(signature.inputs)}")
    free: dict[str, int] = {}
    for name, array in inputs.items():
        dtype, shape = signature.inputs[name]
        fits = array.dtype.name == dtype and array.ndim == len(shape) and 0 not in array.shape
        for size, wanted in zip(array.shape, shape, strict=False):
            if isinstance(wanted, str):
                wanted = free.setdefault(wanted, size)
            fits = fits and wanted in (-1, size)
        if not fits:
            raise ContractError(f"input {name} is {array.shape} {array.dtype}; the graph takes {shape} {dtype}")


@dataclass
class FakeSession:
    """A session whose graph is a Python function; for tests of what runs sessions."""

    function: Callable[[Arrays], dict[str, NDArray[Any]]]
    runtime: str = "fake"
    precision: str = "fp32"
    described: Signature = field(default_factory=lambda: Signature({}, {}))
    closed: bool = False

    def signature(self) -> Signature:
        return self.described

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        if self.closed:
            raise ContractError("the session was closed")
        return self.function(inputs)

    def close(self) -> None:
        self.closed = True
