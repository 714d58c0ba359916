"""The machine's matmul limit, measured where and how the encoder runs: a large product in the same runtime and threads.

A share of this limit says how much of a latency is arithmetic, on any machine; a busy one slows both sides alike.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.machine import physical_cores

CPU, CUDA = "onnxruntime-cpu", "onnxruntime-cuda"
SIDE = {CPU: 2048, CUDA: 8192}
REPEATS = 3
OPSET, IR_VERSION = 18, 10


@dataclass(frozen=True)
class Peak:
    """Best rate of a large matrix product."""

    gflops: float
    runtime: str
    precision: str


def measure_peak(runtime: str, precision: str, threads: int = 0) -> Peak | None:
    """Time a square product; TensorRT is held against ONNX Runtime's on the same GPU. None where it cannot be run."""
    provider = CPU if runtime == CPU else CUDA
    kind = "fp32" if provider == CPU else precision
    try:
        import onnxruntime as ort

        session = _session(ort, provider, kind, threads)
    except (ImportError, RuntimeError, ValueError):
        return None
    if session is None:
        return None
    side = SIDE[provider]
    values = np.random.default_rng(0).standard_normal((side, side)).astype(_dtype(kind))
    device = "cpu" if provider == CPU else "cuda"
    binding = session.io_binding()
    binding.bind_ortvalue_input("a", ort.OrtValue.ortvalue_from_numpy(values, device, 0))
    binding.bind_output("product", device)
    seconds = min(_once(session, binding) for _ in range(REPEATS + 1))
    return Peak(2 * side**3 / seconds / 1e9, runtime, kind)


def _once(session: Any, binding: Any) -> float:
    start = time.perf_counter()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    return time.perf_counter() - start


def _session(ort: Any, provider: str, kind: str, threads: int) -> Any:
    name = "CPUExecutionProvider" if provider == CPU else "CUDAExecutionProvider"
    if name not in ort.get_available_providers():
        return None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or physical_cores()
    options.log_severity_level = 3
    session = ort.InferenceSession(_model(SIDE[provider], kind), options, providers=[name])
    return session if session.get_providers()[0] == name else None


def _model(side: int, kind: str) -> bytes:
    """One product with a constant right-hand side, as linear layers have it."""
    from onnx import TensorProto, helper, numpy_helper

    element = TensorProto.FLOAT16 if kind == "fp16" else TensorProto.FLOAT
    weight = np.random.default_rng(1).standard_normal((side, side)).astype(_dtype(kind))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["product"])],
        "peak",
        [helper.make_tensor_value_info("a", element, [side, side])],
        [helper.make_tensor_value_info("product", element, [side, side])],
        [numpy_helper.from_array(weight, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def _dtype(kind: str) -> type[np.floating[Any]]:
    return np.float16 if kind == "fp16" else np.float32
