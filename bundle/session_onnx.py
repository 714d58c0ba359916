"""ONNX Runtime on the CPU, and the loading that its CUDA session shares.

With `bundle.session_cuda` the only place that imports onnxruntime. What was asked for is what runs: a session that fell
back to another provider is refused, never used silently.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bundle.errors import ContractError, RuntimeUnavailable
from bundle.session import Arrays, Shape, Signature, check_inputs
from common.gpu_faults import INSTALL, driver_fault, explain
from common.machine import physical_cores

try:
    import onnxruntime as ort
except ImportError as error:
    raise RuntimeUnavailable(f"onnxruntime cannot be imported ({error}); install ear-teacher[cpu] or [gpu]") from error

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
CUDA_RUNTIME = "onnxruntime-cuda"
PROVIDER = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
}
ERRORS_ONLY = 3  # ONNX Runtime's log level: its warnings are about graph rewrites that users cannot act on


class OnnxSession:
    """An ONNX file on the CPU. See `bundle.session.Session`; concurrent runs share the session's own threads."""

    runtime = "onnxruntime-cpu"
    buckets: tuple[int, ...] | None = None
    slots = 1

    def __init__(self, path: Path, threads: int = 0, precision: str = "fp32") -> None:
        """threads: 0 for one a physical core. Raises RuntimeUnavailable or ContractError."""
        self.precision, self.path = precision, path
        self._session: Any = load_provider(path, CPU, threads, {})
        self._signature = read_signature(self._session)

    def signature(self) -> Signature:
        """As the file declares it."""
        return self._signature

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Every output by name; the interpreter lock is free meanwhile."""
        check_inputs(inputs, self._signature)
        session, names = self._session, list(self._signature.outputs)
        if session is None:
            raise ContractError(f"the session of {self.path.name} was closed")
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    def close(self) -> None:
        """Drop the session; ONNX Runtime frees its memory when the last run ends."""
        self._session = None


def providers() -> list[str]:
    """The execution providers that this build of ONNX Runtime has, whether or not their hardware is here."""
    return list(ort.get_available_providers())


def load_provider(path: Path, provider: str, threads: int, settings: Mapping[str, str]) -> Any:
    """An InferenceSession that really runs on `provider`. Raises RuntimeUnavailable or ContractError."""
    if provider not in providers():
        have = ", ".join(providers())
        raise RuntimeUnavailable(f"this onnxruntime has no {provider} (it has {have}): {_advice(provider)}")
    if provider == CUDA:
        if fault := driver_fault():  # ONNX Runtime prints much and says less
            raise RuntimeUnavailable(f"ONNX Runtime cannot start {provider}: {fault}")
        if hasattr(ort, "preload_dlls"):
            ort.preload_dlls()  # CUDA and cuDNN as pip installs them are on no library path
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or physical_cores()
    options.log_severity_level = ERRORS_ONLY
    # A plan of memory for each batch size that ever came would be kept for ever.
    options.enable_mem_pattern = provider != CPU
    _share_memory()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that wait for work by spinning take the cores from decoding and HTTP.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # CPU stands behind CUDA for the few shape operators that run there by design.
    chain: list[Any] = [(provider, dict(settings))] + ([CPU] if provider != CPU else [])
    try:
        # With ONNX Runtime's own fallback a session, or a single run, would go on on the CPU and only print so.
        session = ort.InferenceSession(str(path), options, providers=chain, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        if provider == CUDA and (fault := explain(str(error), CUDA_RUNTIME)):
            raise RuntimeUnavailable(f"ONNX Runtime cannot start {provider}: {fault}") from error
        raise ContractError(f"{path} cannot be loaded by ONNX Runtime: {str(error).splitlines()[0]}") from error
    if session.get_providers()[0] != provider:
        raise RuntimeUnavailable(f"ONNX Runtime cannot start {provider}: {why_provider_is_absent()}")
    return session


def why_provider_is_absent(library: Path = PROVIDER) -> str:
    """Why ONNX Runtime left its CUDA provider out, which it only prints: loading it again tells what is missing."""
    try:
        ctypes.CDLL(str(library.with_name("libonnxruntime_providers_shared.so")), ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(library))
    except OSError as error:
        return explain(str(error), CUDA_RUNTIME) or f"{error}: {INSTALL[CUDA_RUNTIME]}"
    return f"it gives no reason that is recognised: {INSTALL[CUDA_RUNTIME]}"


@cache
def _share_memory() -> None:
    """One arena of CPU memory for all sessions: encoder, decoder and landmarks seldom need it at the same moment."""
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(place, None)


def read_signature(session: Any) -> Signature:
    """Names, dtypes and shapes as the file declares them; a size without a name is -1."""
    return Signature(_edges(session.get_inputs()), _edges(session.get_outputs()))


def _edges(nodes: Any) -> dict[str, tuple[str, Shape]]:
    return {
        node.name: (DTYPES.get(node.type, node.type), tuple(-1 if size is None else size for size in node.shape))
        for node in nodes
    }


def _advice(provider: str) -> str:
    return INSTALL[CUDA_RUNTIME] if provider == CUDA else "install ear-teacher[cpu]"
