"""ONNX Runtime on CUDA with bound memory: what TensorRT is compared with, and what runs where it is not installed.

All inputs of a batch size lie in one block of memory on the GPU, all outputs in another, at fixed addresses, so that a
CUDA graph can replay them; each block has a page-locked twin on the host, and a batch is one copy in and one out. With
two slots the next batch is copied in, and the last one out, while one is computed. Where a graph has parts that only
the CPU runs, capture is impossible and the session runs without (`uses_graphs`). No card has run it yet.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.errors import ContractError, RuntimeUnavailable
from bundle.session import Arrays, Shape, Signature, SlotPool, check_inputs
from bundle.session_onnx import CUDA, CUDA_RUNTIME, load_provider, read_signature
from bundle.tensorrt.cuda import Cuda
from common.gpu_faults import explain

BUCKETS = (1, 2, 4, 8, 16, 32)
MAX_BUCKET = BUCKETS[-1]
"""Larger batches are run in parts."""
ALIGNMENT = 256
"""Bytes: kernels may want the addresses of tensors to be multiples of it."""
ALLOCATING = threading.Lock()
"""Of all sessions: ONNX Runtime captures in CUDA's global mode, and no thread of the process may allocate meanwhile."""


class Block:
    """Tensors side by side: memory on the GPU, and as much on the host, copied as one."""

    def __init__(self, cuda: Cuda, edges: Mapping[str, tuple[str, Shape]], width: int) -> None:
        """edges: name -> (dtype, shape); their first size is replaced by `width`."""
        shapes = {name: (width, *map(int, shape[1:])) for name, (_, shape) in edges.items()}
        kinds = {name: np.dtype(dtype) for name, (dtype, _) in edges.items()}
        offsets, self._size_bytes = {}, 0
        for name, shape in shapes.items():
            offsets[name] = self._size_bytes
            self._size_bytes += -(-int(np.prod(shape)) * kinds[name].itemsize // ALIGNMENT) * ALIGNMENT
        self._cuda, self._device, self._pinned = cuda, cuda.allocate(self._size_bytes), cuda.pinned(self._size_bytes)
        self._pinned[:] = 0
        self.host = {
            name: np.frombuffer(self._pinned, kinds[name], int(np.prod(shape)), offsets[name]).reshape(shape)
            for name, shape in shapes.items()
        }
        """Name -> its place on the host, (width, ...)."""
        self.bound = {
            name: {"element_type": kinds[name], "shape": shape, "buffer_ptr": self._device + offsets[name]}
            for name, shape in shapes.items()
        }
        """Name -> how ONNX Runtime is told of its place on the GPU."""

    def to_device(self, stream: int) -> None:
        self._cuda.to_device(self._device, self._pinned.ctypes.data, self._size_bytes, stream)
        self._cuda.synchronise(stream)  # ONNX Runtime computes on a stream of its own

    def to_host(self, stream: int) -> None:
        self._cuda.to_host(self._pinned.ctypes.data, self._device, self._size_bytes, stream)
        self._cuda.synchronise(stream)

    def free(self) -> None:
        self.host.clear()
        self._cuda.free(self._device)
        self._cuda.free_pinned(self._pinned)


@dataclass
class Bucket:
    """One batch size: its memory, and the binding that ties it to the graph."""

    inputs: Block
    outputs: Block
    binding: Any
    options: Any

    def free(self) -> None:
        self.inputs.free()
        self.outputs.free()


@dataclass
class Slot:
    """Room for one batch on its way: a stream for its copies, and memory for every batch size."""

    number: int
    stream: int
    buckets: dict[int, Bucket] = field(default_factory=dict)


class CudaSession:
    """An ONNX file on GPU 0. See `bundle.session.Session`; callers beyond the number of slots wait.

    One thread of the session's own computes: ONNX Runtime keeps handles, workspaces and captured graphs a thread, so
    that what one caller warmed up would be captured anew for the next.
    """

    runtime = CUDA_RUNTIME
    provider, device = CUDA, "cuda"
    buckets: tuple[int, ...] | None = BUCKETS

    def __init__(
        self, path: Path, threads: int = 0, precision: str = "fp32", slots: int = 1, cuda: Cuda | None = None
    ) -> None:
        """threads: of the CPU, for what runs there. Raises RuntimeUnavailable where CUDA does not start."""
        self.precision, self.path, self.slots = precision, path, slots
        settings = {"use_tf32": "0" if precision == "fp32" else "1", "cudnn_conv_algo_search": "EXHAUSTIVE"}
        self.uses_graphs = True
        with ALLOCATING:
            try:
                self._session: Any = load_provider(path, self.provider, threads, settings | {"enable_cuda_graph": "1"})
            except ContractError:
                self._session = load_provider(path, self.provider, threads, settings)
                self.uses_graphs = False
        self._cuda = cuda or Cuda()
        self._signature = read_signature(self._session)
        made = [Slot(number, self._cuda.stream()) for number in range(slots)]
        self._slots = SlotPool(made, f"the session of {path.name}")
        self._ready: set[int] = set()
        self._computing = ThreadPoolExecutor(1, thread_name_prefix=f"cuda-{path.stem}")

    def signature(self) -> Signature:
        """As the file declares it."""
        return self._signature

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Every output by name, for any batch."""
        check_inputs(inputs, self._signature)
        batch = len(next(iter(inputs.values())))
        parts = [
            self._run_or_explain({name: array[start : start + MAX_BUCKET] for name, array in inputs.items()})
            for start in range(0, batch, MAX_BUCKET)
        ]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._signature.outputs}

    def close(self) -> None:
        """Wait for the slots and free the GPU's memory."""
        for slot in self._slots.close():
            for bucket in slot.buckets.values():
                bucket.free()
            self._cuda.destroy_stream(slot.stream)
        self._computing.shutdown()
        self._session = None

    def _run_or_explain(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Many faults (no kernels for this GPU, no memory) show in the first run only: they are told like a start's."""
        try:
            return self._run(inputs)
        except ContractError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            why = explain(str(error), CUDA_RUNTIME) or (str(error).splitlines() or [type(error).__name__])[0]
            raise RuntimeUnavailable(f"{self.runtime} cannot run {self.path.name}: {why}") from error

    def _run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        size = len(next(iter(inputs.values())))
        width = next(bucket for bucket in BUCKETS if bucket >= size)
        if width not in self._ready:
            self._prepare(width)
        with self._slots.one() as slot:
            bucket = slot.buckets[width]
            for name, array in inputs.items():
                bucket.inputs.host[name][:size] = array  # rows beyond keep what they held, and are thrown away
            bucket.inputs.to_device(slot.stream)
            self._compute(bucket)
            bucket.outputs.to_host(slot.stream)
            return {name: values[:size].copy() for name, values in bucket.outputs.host.items()}

    def _prepare(self, width: int) -> None:
        """Memory and a graph of a batch size in every slot, while nothing else of this session runs."""
        with ALLOCATING, self._slots.all() as slots:
            for slot in slots:
                if width not in slot.buckets:
                    slot.buckets[width] = self._bind(slot, width)
            self._ready.add(width)

    def _compute(self, bucket: Bucket) -> None:
        """Returns when the GPU is done: ONNX Runtime waits for its stream at the end of a run."""
        self._computing.submit(self._session.run_with_iobinding, bucket.binding, bucket.options).result()

    def _bind(self, slot: Slot, width: int) -> Bucket:
        import onnxruntime as ort

        binding, options = self._session.io_binding(), ort.RunOptions()
        if self.uses_graphs:
            options.add_run_config_entry("gpu_graph_id", str(slot.number * 2 * MAX_BUCKET + width))
        inputs = Block(self._cuda, self._signature.inputs, width)
        outputs = Block(self._cuda, self._signature.outputs, width)
        for name, place in inputs.bound.items():
            binding.bind_input(name, self.device, 0, **place)
        for name, place in outputs.bound.items():
            binding.bind_output(name, self.device, 0, **place)
        bucket = Bucket(inputs, outputs, binding, options)
        try:
            inputs.to_device(slot.stream)
            self._compute(bucket)
        except Exception:
            bucket.free()
            raise
        return bucket
