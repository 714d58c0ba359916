"""Why a GPU library does not start, in one sentence: the cause (driver, CUDA version, kernels, memory) and the remedy.

ONNX Runtime, TensorRT, FAISS and CUDA word the same few causes differently; `FAULTS` holds their words. The driver is
asked directly, through libcuda. Imports none of these libraries.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CUDA_VERSION = 13000
"""What onnxruntime-gpu and both TensorRTs are built for, as libcuda counts: 1000 * major + 10 * minor."""
LIBCUDA = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
NO_DEVICE = 100
DRIVER = "install NVIDIA's driver 580 or newer and check it with nvidia-smi"
VISIBLE = "check nvidia-smi, CUDA_VISIBLE_DEVICES, and in a container `docker run --gpus all`"
INSTALL = {
    "onnxruntime-cuda": "pip uninstall -y onnxruntime faiss-cpu && pip install 'ear-teacher[gpu]'",
    "tensorrt": "pip install --extra-index-url https://pypi.nvidia.com 'ear-teacher[tensorrt]'",
    "tensorrt-rtx": "pip install 'ear-teacher[tensorrt-rtx]'",
    "faiss": "pip uninstall -y faiss-cpu faiss-gpu && pip install 'ear-teacher[cpu]', or [gpu]",
}
"""Library -> what installs it. `ear-teacher[extra]` stands for `.[extra]` in the project's folder."""


@dataclass(frozen=True)
class Fault:
    """One cause: how libraries word it, what it is, what to do. `{0}`: the pattern's first group; `{install}`."""

    pattern: re.Pattern[str]
    cause: str
    remedy: str


def _fault(pattern: str, cause: str, remedy: str) -> Fault:
    return Fault(re.compile(pattern, re.IGNORECASE), cause, remedy)


FAULTS = (
    _fault(
        r"out of memory|OutOfMemory|cudaErrorMemoryAllocation|Failed to allocate memory for requested buffer"
        r"|_STATUS_ALLOC_FAILED|CUDA failure 2:",
        "the GPU's memory is full",
        "end what else uses it (nvidia-smi lists it), or take a smaller --max-batch",
    ),
    _fault(
        r"no kernel image|NoKernelImageForDevice|CUDA failure 209|SM \d+ is not supported|_STATUS_ARCH_MISMATCH"
        r"|unsupported SM",
        "this build has no kernels for this GPU",
        "take a build for it ({install}), another --runtime, or another GPU",
    ),
    _fault(
        r"(lib[\w+-]+\.so[.\d]*): cannot open shared object",
        "the library {0} is not installed",
        "{install}",
    ),
    _fault(r"installed but (nvidia-[\w-]+) is missing", "the package {0} is not installed", "{install}"),
    _fault(
        r"undefined symbol|version `[^']*' not found|_STATUS_(?:NOT_INITIALIZED|.*VERSION_MISMATCH)"
        r"|UnsupportedPtxVersion|unsupported toolchain|CallRequiresNewerDriver|requires newer driver"
        r"|CompatNotSupportedOnDevice|forward compatibility was attempted",
        "its CUDA libraries or the driver are of another version than it needs (CUDA 13)",
        f"{{install}}; {DRIVER}",
    ),
    _fault(
        r"cudaErrorNoDevice|no CUDA-capable device|(?:failure|with error:?|CUDA error) 100\b|Invalid GPU device",
        "no GPU is visible to this process",
        VISIBLE,
    ),
    _fault(
        r"InsufficientDriver|driver version is insufficient|(?:failure|with error:?|CUDA error) 35\b"
        r"|libcuda\.so|StubLibrary",
        "NVIDIA's driver is absent or older than CUDA 13 needs",
        DRIVER,
    ),
    _fault(
        r"DevicesUnavailable|busy or unavailable",
        "another process holds the GPU for itself",
        "end it (nvidia-smi lists it), or set the GPU's compute mode to default",
    ),
)
"""The first that matches counts: a library that is missing says nothing about the driver yet."""


def explain(text: str, library: str) -> str | None:
    """Cause and remedy of a library's error text, in one sentence; None where no cause is recognised.

    library: one of INSTALL.
    """
    for fault in FAULTS:
        if match := fault.pattern.search(text):
            cause, remedy = fault.cause.format(*match.groups()), fault.remedy.format(install=INSTALL[library])
            if fault.remedy == DRIVER:
                return driver_fault() or f"{cause}: {remedy}"
            return f"{cause}: {remedy}"
    return None


def driver_fault(load: Callable[[str], Any] = ctypes.CDLL) -> str | None:
    """Why NVIDIA's driver gives this process no GPU for CUDA 13, with what to do; None where it does."""
    try:
        driver = load(LIBCUDA)
    except OSError:
        return f"no NVIDIA driver is installed ({LIBCUDA} is absent): {DRIVER}"
    version, count = ctypes.c_int(), ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    if version.value < CUDA_VERSION:
        major, rest = divmod(version.value, 1000)
        return f"NVIDIA's driver is too old (it serves CUDA {major}.{rest // 10}; needed is 13.0): {DRIVER}"
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status == NO_DEVICE or (status == 0 and count.value < 1):
        return f"no GPU is visible to this process: {VISIBLE}"
    return f"NVIDIA's driver does not start (CUDA error {status}): {DRIVER}" if status else None
