"""A GPU of host memory: streams that run at once, graphs that replay, and a TensorRT engine that is a Python function.

It holds our sessions to CUDA's rules (what is captured does not run, freed memory is gone, a context needs shapes,
addresses and memory) on a machine without a GPU; what only a real one can tell is in the tests marked `gpu`.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from bundle.tensorrt.cuda import Cuda
from bundle.tensorrt.flavour import Flavour


def copy(target: int, source: int, size_bytes: int) -> None:
    ctypes.memmove(target, source, size_bytes)


class FakeCuda(Cuda):
    def __init__(self) -> None:
        self.blocks: dict[int, np.ndarray] = {}
        self.streams: set[int] = set()
        self.recording: dict[int, list[Callable[[], None]]] = {}
        self.launches = 0
        self.graphs = 0

    def allocate(self, size_bytes: int) -> int:
        block = np.full(max(1, size_bytes), 0xAA, np.uint8)
        self.blocks[block.ctypes.data] = block
        return block.ctypes.data

    def free(self, address: int) -> None:
        del self.blocks[address]

    def pinned(self, size_bytes: int) -> np.ndarray:
        return self.blocks[self.allocate(size_bytes)]

    def free_pinned(self, memory: np.ndarray) -> None:
        self.free(memory.ctypes.data)

    def stream(self) -> int:
        self.streams.add(stream := max(self.streams, default=0) + 1)
        return stream

    def destroy_stream(self, stream: int) -> None:
        self.streams.remove(stream)

    def synchronise(self, stream: int) -> None:
        assert stream in self.streams
        assert stream not in self.recording, "a stream under capture cannot be waited for"

    def to_device(self, address: int, source: int, size_bytes: int, stream: int) -> None:
        self.enqueue(stream, lambda: copy(address, source, size_bytes))

    def to_host(self, target: int, address: int, size_bytes: int, stream: int) -> None:
        self.enqueue(stream, lambda: copy(target, address, size_bytes))

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        assert stream in self.streams
        if stream in self.recording:
            self.recording[stream].append(work)
        else:
            work()

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        self.recording[stream] = []
        work()
        self.graphs += 1
        return self.recording.pop(stream)

    def launch(self, graph: Any, stream: int) -> None:
        self.launches += 1
        for work in graph:
            work()

    def destroy_graph(self, graph: Any) -> None:
        self.graphs -= 1

    def event(self) -> Any:
        return SimpleNamespace(at=None)

    def record(self, event: Any, stream: int) -> None:
        event.at = 1.0

    def elapsed_ms(self, start: Any, stop: Any) -> float:
        return stop.at - start.at + 0.5


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


def fake_flavour(name: Any = "tensorrt") -> Flavour:
    strategies = SimpleNamespace(USER_MANAGED="user managed")
    graphs = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")
    trt = SimpleNamespace(
        TensorIOMode=TensorIOMode, ExecutionContextAllocationStrategy=strategies, CudaGraphStrategy=graphs
    )
    return Flavour(name, "0.0", trt)


class FakeEngine:
    """x (batch, 3) uint8 -> y (batch, 2) float32: the sum and the mean of a row."""

    device_memory_size_v2 = 512
    num_io_tensors = 2
    edges = (("x", "UINT8", (-1, 3)), ("y", "FLOAT", (-1, 2)))

    def __init__(self, cuda: FakeCuda, profiles: tuple[tuple[int, int, int], ...] = ((1, 1, 1), (2, 4, 4), (5, 8, 8))):
        self.cuda, self.ranges = cuda, profiles
        self.num_optimization_profiles = len(profiles)
        self.contexts: list[FakeContext] = []

    def get_tensor_name(self, index: int) -> str:
        return self.edges[index][0]

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name={"x": "UINT8", "y": "FLOAT"}[name])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == "x" else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return {"x": (-1, 3), "y": (-1, 2)}[name]

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, int]]:
        return [(batch, 3) for batch in self.ranges[index]]

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(
            set_execution_context_allocation_strategy=lambda strategy: None, cuda_graph_strategy=None
        )

    def create_execution_context(self, how: Any) -> FakeContext:
        self.contexts.append(FakeContext(self, how))
        return self.contexts[-1]


class FakeContext:
    def __init__(self, engine: FakeEngine, how: Any) -> None:
        self.engine, self.how = engine, how
        self.profile = 0
        self.batch = 0
        self.addresses: dict[str, int] = {}
        self.memory: tuple[int, int] | None = None

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self.profile = profile
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.engine.ranges[self.profile]
        assert low <= shape[0] <= high, f"batch {shape[0]} is outside profile {self.profile}"
        self.batch = shape[0]
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert address in self.engine.cuda.blocks
        self.addresses[name] = address
        return True

    def set_device_memory(self, address: int, size_bytes: int) -> None:
        self.memory = (address, size_bytes)

    def infer_shapes(self) -> list[str]:
        return [] if self.batch else ["x"]

    def execute_async_v3(self, stream: int) -> bool:
        assert self.memory is not None
        assert self.memory[1] >= self.engine.device_memory_size_v2
        blocks, batch = self.engine.cuda.blocks, self.batch

        def kernel() -> None:
            x = blocks[self.addresses["x"]][: batch * 3].reshape(batch, 3).astype(np.float32)
            y = np.stack([x.sum(axis=1), x.mean(axis=1)], axis=1).astype(np.float32)
            blocks[self.addresses["y"]][: batch * 8] = y.view(np.uint8).ravel()

        self.engine.cuda.enqueue(stream, kernel)
        return True
