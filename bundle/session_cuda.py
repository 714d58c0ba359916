"""ONNX Runtime on CUDA with bound memory: what TensorRT is compared with, and what runs where it is not installed.

Inputs and outputs live at fixed addresses on the GPU, one set a batch bucket, so that a CUDA graph can replay each.
Where a graph has parts that only the CPU runs, capture is impossible and the session runs without (`uses_graphs`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.errors import ContractError, RuntimeUnavailable
from bundle.session import Arrays, Signature, check_inputs
from bundle.session_onnx import CUDA, CUDA_RUNTIME, load_provider, read_signature
from common.gpu_faults import explain

BUCKETS = (1, 2, 4, 8, 16, 32)
MAX_BUCKET = BUCKETS[-1]
"""Larger batches are run in parts."""


@dataclass
class Bucket:
    """One batch size: its memory on the GPU and the binding that ties it to the graph."""

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    binding: Any
    options: Any


class CudaSession:
    """An ONNX file on GPU 0. See `bundle.session.Session`; runs wait for each other."""

    runtime = CUDA_RUNTIME
    provider, device = CUDA, "cuda"
    buckets: tuple[int, ...] | None = BUCKETS

    def __init__(self, path: Path, threads: int = 0, precision: str = "fp32") -> None:
        """threads: of the CPU, for what runs there. Raises RuntimeUnavailable where CUDA does not start."""
        self.precision, self.path = precision, path
        settings = {"use_tf32": "0" if precision == "fp32" else "1", "cudnn_conv_algo_search": "EXHAUSTIVE"}
        self.uses_graphs = True
        try:
            self._session: Any = load_provider(path, self.provider, threads, settings | {"enable_cuda_graph": "1"})
        except ContractError:
            self._session = load_provider(path, self.provider, threads, settings)
            self.uses_graphs = False
        self._signature = read_signature(self._session)
        self._buckets: dict[int, Bucket] = {}
        # Bound memory is shared by all callers, and ONNX Runtime captures for one caller at a time.
        self._lock = threading.Lock()

    def signature(self) -> Signature:
        """As the file declares it."""
        return self._signature

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Every output by name, for any batch."""
        check_inputs(inputs, self._signature)
        batch = len(next(iter(inputs.values())))
        with self._lock:
            if self._session is None:
                raise ContractError(f"the session of {self.path.name} was closed")
            parts = [
                self._run_or_explain({name: array[start : start + MAX_BUCKET] for name, array in inputs.items()})
                for start in range(0, batch, MAX_BUCKET)
            ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._signature.outputs}

    def close(self) -> None:
        """Free the GPU's memory."""
        with self._lock:
            self._buckets.clear()
            self._session = None

    def _run_or_explain(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Many faults (no kernels for this GPU, no memory) show in the first run only: they are told like a start's."""
        try:
            return self._run(inputs)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            why = explain(str(error), CUDA_RUNTIME) or (str(error).splitlines() or [type(error).__name__])[0]
            raise RuntimeUnavailable(f"{self.runtime} cannot run {self.path.name}: {why}") from error

    def _run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        size = len(next(iter(inputs.values())))
        width = next(bucket for bucket in BUCKETS if bucket >= size)
        if width not in self._buckets:
            self._buckets[width] = self._bind(width)
        bucket = self._buckets[width]
        for name, array in inputs.items():
            padding = [(0, width - size)] + [(0, 0)] * (array.ndim - 1)
            bucket.inputs[name].update_inplace(np.ascontiguousarray(np.pad(array, padding)))
        self._session.run_with_iobinding(bucket.binding, bucket.options)
        bucket.binding.synchronize_outputs()
        return {name: value.numpy()[:size] for name, value in bucket.outputs.items()}

    def _bind(self, width: int) -> Bucket:
        import onnxruntime as ort

        binding, options = self._session.io_binding(), ort.RunOptions()
        if self.uses_graphs:
            options.add_run_config_entry("gpu_graph_id", str(width))
        inputs, outputs = {}, {}
        for name, (dtype, shape) in self._signature.inputs.items():
            empty: NDArray[Any] = np.zeros([width, *map(int, shape[1:])], dtype)
            inputs[name] = ort.OrtValue.ortvalue_from_numpy(empty, self.device, 0)
            binding.bind_ortvalue_input(name, inputs[name])
        for name, (dtype, shape) in self._signature.outputs.items():
            full = [width, *shape[1:]]
            outputs[name] = ort.OrtValue.ortvalue_from_shape_and_type(full, np.dtype(dtype), self.device, 0)
            binding.bind_ortvalue_output(name, outputs[name])
        return Bucket(inputs, outputs, binding, options)
