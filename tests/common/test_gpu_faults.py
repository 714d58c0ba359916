"""Errors as ONNX Runtime, TensorRT, FAISS and CUDA word them -> one sentence with the cause and what to do."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from common.gpu_faults import INSTALL, NO_DEVICE, driver_fault, explain

MEMORY, KERNELS, VERSION = "GPU's memory is full", "no kernels for this GPU", "of another version"
DEVICE, DRIVER = "no GPU is visible", "driver 580 or newer"
TEXTS = [
    # ONNX Runtime 1.31 on CUDA
    ("CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=c ;", DRIVER),
    ("CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=c ; expr=cudaSetDevice(", DEVICE),
    (
        "Failed to load library /x/capi/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open "
        "shared object file: No such file or directory",
        "the library libcublasLt.so.13 is not installed",
    ),
    (
        "Non-zero status code returned while running Conv node. Name:'conv' Status Message: CUDA error "
        "cudaErrorNoKernelImageForDevice:no kernel image is available for execution on the device",
        KERNELS,
    ),
    (
        "bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed "
        "to allocate memory for requested buffer of size 939524096",
        MEMORY,
    ),
    ("CUDNN failure 1: CUDNN_STATUS_NOT_INITIALIZED ; GPU=0 ; hostname=c ; expr=cudnnCreate(&handle)", VERSION),
    ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_)", MEMORY),
    # TensorRT 10, 11 and RTX
    ("CUDA initialization failure with error: 35", DRIVER),
    ("createInferRuntime: Error Code 6: API Usage Error (CUDA initialization failure with error: 100)", DEVICE),
    ("libnvonnxparser.so.11: cannot open shared object file: No such file or directory", "library libnvonnxparser.so"),
    ("IBuilder::buildSerializedNetwork: Error Code 9: Target GPU SM 70 is not supported by this release.", KERNELS),
    ("[defaultAllocator.cpp::allocate::20] Error Code 1: Cuda Runtime (out of memory)", MEMORY),
    # FAISS
    (
        "faiss-gpu installed but nvidia-cuda-runtime-cu12 is missing — pip install 'nvidia-cuda-runtime-cu12>=12.6'",
        "the package nvidia-cuda-runtime-cu12 is not installed",
    ),
    ("Faiss assertion 'err__ == cudaSuccess' failed; details: CUDA error 48 no kernel image is available", KERNELS),
    ("Error: 'devs.at(i) < getNumDevices()' failed: Invalid GPU device 0", DEVICE),
    # CUDA
    ("cudaErrorMemoryAllocation out of memory", MEMORY),
    ("cudaErrorDevicesUnavailable CUDA-capable device(s) is/are busy or unavailable", "holds the GPU for itself"),
    ("CUDA error 804: forward compatibility was attempted on non supported HW", VERSION),
    ("/x/libcublas.so.12: undefined symbol: cublasLtGetStatusString, version libcublasLt.so.12", VERSION),
]


@pytest.mark.parametrize(("text", "cause"), TEXTS)
@pytest.mark.parametrize("library", INSTALL)
def test_what_a_library_says_becomes_one_sentence_with_cause_and_remedy(text: str, cause: str, library: str) -> None:
    sentence = explain(text, library)
    assert sentence is not None
    assert cause in sentence
    assert ": " in sentence
    assert "\n" not in sentence
    if "is not installed" in cause:
        assert INSTALL[library] in sentence


def test_what_is_no_fault_of_the_machine_is_left_to_the_library() -> None:
    assert explain("The engine plan file is not compatible with this version of TensorRT", "tensorrt") is None
    assert explain("Failed to parse ONNX model", "onnxruntime-cuda") is None


def driver(version: int, status: int = 0, count: int = 1) -> Any:
    """A libcuda."""

    def answer(value: int) -> Any:
        def call(pointer: Any) -> int:
            pointer._obj.value = value
            return 0

        return call

    return lambda name: SimpleNamespace(
        cuDriverGetVersion=answer(version), cuInit=lambda flags: status, cuDeviceGetCount=answer(count)
    )


def test_the_driver_is_asked_itself_what_is_wrong_with_it() -> None:
    def absent(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    assert driver_fault(driver(13000)) is None
    assert "no NVIDIA driver is installed" in str(driver_fault(absent))
    assert "too old (it serves CUDA 12.4; needed is 13.0)" in str(driver_fault(driver(12040)))
    assert "no GPU is visible" in str(driver_fault(driver(13000, NO_DEVICE)))
    assert "no GPU is visible" in str(driver_fault(driver(13000, count=0)))
    assert "does not start (CUDA error 999)" in str(driver_fault(driver(13000, 999)))
