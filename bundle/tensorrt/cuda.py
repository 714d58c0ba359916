"""The little of the CUDA runtime that a TensorRT session needs, through NVIDIA's own `cuda-bindings`.

Device and pinned memory, streams, copies, graphs, events, and the GPU's name. No torch, no kernels of our own. Knows
nothing of engines. Where the library, the driver or the GPU is missing, one sentence says which.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.errors import RuntimeUnavailable
from common.gpu_faults import DRIVER, explain


@dataclass(frozen=True)
class Gpu:
    """One device, as engines are keyed by it."""

    name: str
    sm: str
    """Compute capability: `sm90`."""
    memory_bytes: int


class Cuda:
    """CUDA device 0 (choose another with CUDA_VISIBLE_DEVICES). Every method raises RuntimeUnavailable on an error."""

    def __init__(self) -> None:
        self._runtime: Any = _bindings()
        error, count = self._runtime.cudaGetDeviceCount()
        if error != self._runtime.cudaError_t.cudaSuccess or count < 1:
            name = "cudaErrorNoDevice" if error == self._runtime.cudaError_t.cudaSuccess else error.name
            why = explain(name, "tensorrt") or f"CUDA says {name}: {DRIVER}"
            raise RuntimeUnavailable(f"no CUDA GPU can be used: {why}")

    def gpu(self) -> Gpu:
        """Name, compute capability and memory."""
        properties = self._call(self._runtime.cudaGetDeviceProperties(0))
        name = properties.name.split(b"\0")[0].decode()
        return Gpu(name, f"sm{properties.major}{properties.minor}", int(properties.totalGlobalMem))

    def allocate(self, size_bytes: int) -> int:
        """Address of device memory (256-byte aligned); 0 bytes are given as 1."""
        return int(self._call(self._runtime.cudaMalloc(max(1, size_bytes))))

    def free(self, address: int) -> None:
        self._call(self._runtime.cudaFree(address))

    def pinned(self, size_bytes: int) -> NDArray[np.uint8]:
        """(size_bytes,) uint8 of page-locked host memory, which copies at full speed; `free_pinned` gives it back."""
        address = int(self._call(self._runtime.cudaHostAlloc(size_bytes, self._runtime.cudaHostAllocDefault)))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(address))

    def free_pinned(self, memory: NDArray[np.uint8]) -> None:
        self._call(self._runtime.cudaFreeHost(memory.ctypes.data))

    def stream(self) -> int:
        """A stream that does not wait for the default one."""
        return int(self._call(self._runtime.cudaStreamCreateWithFlags(self._runtime.cudaStreamNonBlocking)))

    def destroy_stream(self, stream: int) -> None:
        self._call(self._runtime.cudaStreamDestroy(stream))

    def synchronise(self, stream: int) -> None:
        """Wait for everything on the stream; the interpreter lock is free meanwhile."""
        self._call(self._runtime.cudaStreamSynchronize(stream))

    def to_device(self, address: int, source: int, size_bytes: int, stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call(self._runtime.cudaMemcpyAsync(address, source, size_bytes, kind, stream))

    def to_host(self, target: int, address: int, size_bytes: int, stream: int) -> None:
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call(self._runtime.cudaMemcpyAsync(target, address, size_bytes, kind, stream))

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """Record what `work` puts on the stream, without running it, as a graph for `launch`."""
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal  # other threads may allocate
        self._call(self._runtime.cudaStreamBeginCapture(stream, mode))
        try:
            work()
        finally:
            graph = self._call(self._runtime.cudaStreamEndCapture(stream))
        try:
            return self._call(self._runtime.cudaGraphInstantiate(graph, 0))
        finally:
            self._call(self._runtime.cudaGraphDestroy(graph))

    def launch(self, graph: Any, stream: int) -> None:
        self._call(self._runtime.cudaGraphLaunch(graph, stream))

    def destroy_graph(self, graph: Any) -> None:
        self._call(self._runtime.cudaGraphExecDestroy(graph))

    def event(self) -> Any:
        """For `record` and `elapsed_ms`; destroyed with the process."""
        return self._call(self._runtime.cudaEventCreate())

    def record(self, event: Any, stream: int) -> None:
        self._call(self._runtime.cudaEventRecord(event, stream))

    def elapsed_ms(self, start: Any, stop: Any) -> float:
        """Between two recorded events whose stream was synchronised since."""
        return float(self._call(self._runtime.cudaEventElapsedTime(start, stop)))

    def _call(self, answer: tuple[Any, ...]) -> Any:
        """cuda-bindings answer (error, value): give the value, or raise what CUDA says."""
        error, *values = answer
        if error != self._runtime.cudaError_t.cudaSuccess:
            text = self._runtime.cudaGetErrorString(error)[1].decode()
            why = explain(f"{error.name} {text}", "tensorrt") or "check the driver with nvidia-smi"
            raise RuntimeUnavailable(f"CUDA: {text} ({error.name}); {why}")
        return values[0] if values else None


def gpu_present() -> bool:
    """Whether a CUDA GPU can be used by this process."""
    try:
        Cuda()
    except RuntimeUnavailable:
        return False
    return True


def _bindings() -> Any:
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise RuntimeUnavailable(
            f"TensorRT sessions need cuda-bindings ({error}); install it with: pip install 'cuda-bindings>=13,<14'"
        ) from error
    return runtime
