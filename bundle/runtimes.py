"""Which runtimes there are here, and a session of one of them.

Each lives in its own `session_*.py`, imported only when asked for.
"""

from __future__ import annotations

import logging
from pathlib import Path

from bundle.errors import BundleError, RuntimeUnavailable
from bundle.session import AUTO, RUNTIMES, Session
from common.gpu_faults import INSTALL, driver_fault

log = logging.getLogger(__name__)


def open_session(
    path: str | Path,
    runtime: str = AUTO,
    threads: int = 0,
    precision: str = "fp32",
    build: bool = True,
    slots: int = 1,
) -> Session:
    """Load an ONNX file.

    runtime: one of RUNTIMES, or "auto": the first of `candidates()` that loads. threads: of the CPU, 0 for one a
    physical core. precision: what the file holds. build: whether TensorRT may build an engine that is not in the cache,
    which takes minutes; "auto" never does, and logs what it passed over. slots: batches that a GPU has at once, one
    computing while others are copied; each takes memory. Raises RuntimeUnavailable with what there is.
    """
    if runtime != AUTO:
        return _open(Path(path), runtime, threads, precision, build, slots)
    reasons = []
    for name in candidates():
        try:
            session = _open(Path(path), name, threads, precision, build=False, slots=slots)
        except BundleError as error:
            reasons.append(f"{name}: {error}")
            continue
        if reasons:
            log.warning("%s runs on %s; passed over: %s", Path(path).name, name, "; ".join(reasons))
        return session
    raise RuntimeUnavailable(f"no runtime can load {path}; {'; '.join(reasons) or 'none is installed'}")


def candidates() -> tuple[str, ...]:
    """Runtimes that are installed here and worth trying, the fastest first. TensorRT counts only beside a GPU."""
    runtimes: list[str] = []
    from bundle.tensorrt.flavour import installed_flavours

    if flavours := installed_flavours():
        from bundle.tensorrt.cuda import gpu_present

        runtimes += flavours if gpu_present() else ()
    try:
        from bundle.session_onnx import providers
    except RuntimeUnavailable:
        return tuple(runtimes)
    return (*runtimes, *(("onnxruntime-cuda",) if "CUDAExecutionProvider" in providers() else ()), "onnxruntime-cpu")


def unavailable() -> list[str]:
    """Why runtimes that something here speaks for are no `candidates()`, a sentence each: `name: cause and remedy`.

    A TensorRT that is installed; CUDA where there is an NVIDIA driver. Nothing for a machine with neither.
    """
    from bundle.tensorrt.cuda import Cuda
    from bundle.tensorrt.flavour import installed_flavours

    reasons = []
    if flavours := installed_flavours():
        try:
            Cuda()
        except RuntimeUnavailable as error:
            reasons = [f"{name}: {error}" for name in flavours]
    runtimes = candidates()
    if "onnxruntime-cpu" in runtimes and "onnxruntime-cuda" not in runtimes and driver_fault() is None:
        reasons.append(f"onnxruntime-cuda: this onnxruntime is the build for CPUs: {INSTALL['onnxruntime-cuda']}")
    return reasons


def _open(path: Path, runtime: str, threads: int, precision: str, build: bool, slots: int) -> Session:
    match runtime:
        case "onnxruntime-cpu":
            from bundle.session_onnx import OnnxSession

            return OnnxSession(path, threads, precision)
        case "onnxruntime-cuda":
            from bundle.session_cuda import CudaSession

            return CudaSession(path, threads, precision, slots)
        case "tensorrt" | "tensorrt-rtx":
            from bundle.tensorrt.session import open_tensorrt

            return open_tensorrt(path, runtime, precision, build, slots=slots)
    raise RuntimeUnavailable(
        f"unknown runtime {runtime!r}; there are {', '.join((AUTO, *RUNTIMES))}, and here can run: "
        f"{', '.join(candidates()) or 'none (install ear-teacher[cpu])'}"
    )
