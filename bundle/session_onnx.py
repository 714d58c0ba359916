"""ONNX Runtime: the CPU session, and the CUDA one behind the same class.

The only module that imports onnxruntime. What was asked for is what runs: a session that fell back to another provider
is refused, never used silently.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bundle.errors import ContractError, RuntimeUnavailable
from bundle.session import Arrays, Shape, Signature, check_inputs
from bundle.threads import physical_cores

try:
    import onnxruntime as ort
except ImportError as error:
    raise RuntimeUnavailable(f"onnxruntime cannot be imported ({error}); install ear-teacher[cpu] or [gpu]") from error

CPU = "CPUExecutionProvider"
PROVIDERS = {"onnxruntime-cpu": CPU, "onnxruntime-cuda": "CUDAExecutionProvider"}
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
    """An ONNX file in ONNX Runtime. See `bundle.session.Session`."""

    def __init__(self, path: Path, runtime: str = "onnxruntime-cpu", threads: int = 0, precision: str = "fp32") -> None:
        """threads: of the CPU, 0 for one a physical core. Raises RuntimeUnavailable or ContractError."""
        self.runtime, self.precision, self.path = runtime, precision, path
        self._session: Any = _load(path, PROVIDERS[runtime], threads)
        self._signature = Signature(_edges(self._session.get_inputs()), _edges(self._session.get_outputs()))

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


def _load(path: Path, provider: str, threads: int) -> Any:
    available = ort.get_available_providers()
    if provider not in available:
        raise RuntimeUnavailable(
            f"this onnxruntime has no {provider} (it has {', '.join(available)}): {_advice(provider)}"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or physical_cores()
    options.log_severity_level = ERRORS_ONLY
    try:
        # CPU stands behind CUDA for the few shape operators that run there by design.
        session = ort.InferenceSession(str(path), options, providers=list(dict.fromkeys((provider, CPU))))
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise ContractError(f"{path} cannot be loaded by ONNX Runtime: {str(error).splitlines()[0]}") from error
    if session.get_providers()[0] != provider:
        raise RuntimeUnavailable(f"ONNX Runtime could not start {provider} and fell back to CPU: {_advice(provider)}")
    return session


def _edges(nodes: Any) -> dict[str, tuple[str, Shape]]:
    return {
        node.name: (DTYPES.get(node.type, node.type), tuple(-1 if size is None else size for size in node.shape))
        for node in nodes
    }


def _advice(provider: str) -> str:
    if provider == "CUDAExecutionProvider":
        return "it needs a CUDA GPU with its driver, and ear-teacher[gpu] in place of [cpu]"
    return "install ear-teacher[cpu]"
