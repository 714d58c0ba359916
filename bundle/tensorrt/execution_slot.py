"""One CUDA stream and everything that runs on it: pinned and device memory, an execution context and a graph a bucket.

For one caller at a time. A CUDA graph holds for one context and one shape, so every bucket has its own context; they
share the slot's activation memory, as only one of them runs at a time. TensorRT-RTX captures its graphs itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.errors import BundleError, EngineError
from bundle.session import Arrays, Shape, Signature
from bundle.tensorrt.cuda import Cuda
from bundle.tensorrt.flavour import Flavour


@dataclass
class Staging:
    """One tensor's memory, large enough for the largest batch: pinned on the host, and on the device."""

    host: NDArray[Any]
    """(largest batch, ...) of the tensor's dtype."""
    pinned: NDArray[np.uint8]
    address: int

    def size_bytes(self, batch: int) -> int:
        return batch * int(self.host[0].nbytes)


@dataclass
class Program:
    """One bucket: its context, and its graph once it has run once."""

    context: Any
    graph: Any = None


class ExecutionSlot:
    """See the module. Every method runs on the calling thread and returns when the stream is done."""

    def __init__(self, cuda: Cuda, flavour: Flavour, engine: Any, signature: Signature, max_batch: int) -> None:
        self._cuda, self._flavour, self._engine = cuda, flavour, engine
        self._stream = cuda.stream()
        self._activation_bytes = int(engine.device_memory_size_v2)
        self._activations = cuda.allocate(self._activation_bytes)
        self._inputs = {name: self._stage(*edge, max_batch) for name, edge in signature.inputs.items()}
        self._outputs = {name: self._stage(*edge, max_batch) for name, edge in signature.outputs.items()}
        self._programs: dict[int, Program] = {}
        self.uses_graphs = flavour.name == "tensorrt"

    def run(self, inputs: Arrays, size: int, bucket: int, profile: int) -> dict[str, NDArray[Any]]:
        """inputs: arrays of `size` rows; the rows up to `bucket` keep what they held and are thrown away."""
        program = self._program(bucket, profile)
        self._fill(inputs)
        if program.graph is not None:
            self._cuda.launch(program.graph, self._stream)
        else:
            self._enqueue(program, bucket)
        self._cuda.synchronise(self._stream)
        outputs = {name: staging.host[:size].copy() for name, staging in self._outputs.items()}
        if program.graph is None and self.uses_graphs:
            self._capture(program, bucket)
        return outputs

    def times_ms(self, inputs: Arrays, bucket: int, profile: int) -> tuple[float, float, float]:
        """Copy in, compute and copy out of one batch, in ms."""
        program = self._program(bucket, profile)
        self._fill(inputs)
        marks = [self._cuda.event() for _ in range(4)]
        for mark, step in zip(marks, (self._copy_in, self._compute, self._copy_out), strict=False):
            self._cuda.record(mark, self._stream)
            step(program, bucket)
        self._cuda.record(marks[3], self._stream)
        self._cuda.synchronise(self._stream)
        copied_in, computed, copied_out = (self._cuda.elapsed_ms(*marks[at : at + 2]) for at in range(3))
        return copied_in, computed, copied_out

    def close(self) -> None:
        """Free all memory."""
        for program in self._programs.values():
            if program.graph is not None:
                self._cuda.destroy_graph(program.graph)
        self._programs.clear()
        for staging in (*self._inputs.values(), *self._outputs.values()):
            self._cuda.free(staging.address)
            self._cuda.free_pinned(staging.pinned)
        self._inputs, self._outputs = {}, {}
        self._cuda.free(self._activations)
        self._cuda.destroy_stream(self._stream)

    def _stage(self, dtype: str, shape: Shape, max_batch: int) -> Staging:
        full = (max_batch, *(int(size) for size in shape[1:]))
        size_bytes = math.prod(full) * np.dtype(dtype).itemsize
        pinned = self._cuda.pinned(size_bytes)
        return Staging(pinned.view(dtype).reshape(full), pinned, self._cuda.allocate(size_bytes))

    def _fill(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        for name, array in inputs.items():
            self._inputs[name].host[: len(array)] = array

    def _enqueue(self, program: Program, bucket: int) -> None:
        for step in (self._copy_in, self._compute, self._copy_out):
            step(program, bucket)

    def _capture(self, program: Program, bucket: int) -> None:
        """Record the bucket's graph after its first plain run: only a context that has run may be captured."""
        try:
            program.graph = self._cuda.capture(self._stream, lambda: self._enqueue(program, bucket))
        except BundleError:  # an engine that cannot be captured (it talks to the host) still runs, call by call
            self.uses_graphs = False

    def _copy_in(self, program: Program, bucket: int) -> None:
        for staging in self._inputs.values():
            size = staging.size_bytes(bucket)
            self._cuda.to_device(staging.address, staging.pinned.ctypes.data, size, self._stream)

    def _compute(self, program: Program, bucket: int) -> None:
        if not program.context.execute_async_v3(self._stream):
            raise EngineError(f"{self._flavour.name} could not run a batch of {bucket}; see its log")

    def _copy_out(self, program: Program, bucket: int) -> None:
        for staging in self._outputs.values():
            size = staging.size_bytes(bucket)
            self._cuda.to_host(staging.pinned.ctypes.data, staging.address, size, self._stream)

    def _program(self, bucket: int, profile: int) -> Program:
        if bucket not in self._programs:
            self._programs[bucket] = Program(self._context(bucket, profile))
        return self._programs[bucket]

    def _context(self, bucket: int, profile: int) -> Any:
        """An execution context fixed to one batch and to this slot's memory."""
        context = self._create_context()
        if context is None:
            raise EngineError(f"{self._flavour.name} gave no execution context; is the GPU's memory full?")
        if not context.set_optimization_profile_async(profile, self._stream):
            raise EngineError(f"{self._flavour.name} refused profile {profile}")
        self._cuda.synchronise(self._stream)
        for name, staging in self._inputs.items():
            context.set_input_shape(name, (bucket, *staging.host.shape[1:]))
        for name, staging in (self._inputs | self._outputs).items():
            context.set_tensor_address(name, staging.address)
        if unset := context.infer_shapes():
            raise EngineError(f"{self._flavour.name} misses the shapes of {unset}")
        context.set_device_memory(self._activations, self._activation_bytes)
        return context

    def _create_context(self) -> Any:
        trt = self._flavour.trt
        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if self._flavour.name == "tensorrt":
            return self._engine.create_execution_context(strategy)
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return self._engine.create_execution_context(config)
