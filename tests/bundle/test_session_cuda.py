"""Bound memory: held against plain runs on the CPU, and on CUDA where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from bundle.errors import ContractError, RuntimeUnavailable
from bundle.golden import golden_crops
from bundle.model import load
from bundle.runtimes import open_session
from bundle.session_cuda import CudaSession
from bundle.session_onnx import CPU, OnnxSession
from tests.bundle.fake_gpu import FakeCuda


class BoundOnCpu(CudaSession):
    """The same binding, padding and parts on ONNX Runtime's CPU, the GPU's memory being the host's."""

    provider, device = CPU, "cpu"

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.gpu = CountingCuda()
        super().__init__(path, threads, cuda=self.gpu)


class CountingCuda(FakeCuda):
    """Notes every copy."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[str] = []

    def to_device(self, address: int, source: int, size_bytes: int, stream: int) -> None:
        self.copies.append("in")
        super().to_device(address, source, size_bytes, stream)

    def to_host(self, target: int, address: int, size_bytes: int, stream: int) -> None:
        self.copies.append("out")
        super().to_host(target, address, size_bytes, stream)


def test_bound_memory_gives_what_a_plain_run_gives_for_every_batch(bundle_folder: Path) -> None:
    session = BoundOnCpu(bundle_folder / "encoder.onnx", threads=1)
    reference = OnnxSession(bundle_folder / "encoder.onnx", threads=1)
    for batch in (1, 3, 6, 40, 3, 1):
        crops = np.roll(np.resize(golden_crops(), (batch, 128, 128, 3)), batch, axis=0)
        bound, plain = session.run({"image": crops}), reference.run({"image": crops})
        assert list(bound) == list(plain)
        np.testing.assert_allclose(bound["mu"], plain["mu"], rtol=1e-4, atol=1e-4)
    assert {*session._buckets} == {1, 4, 8, 32} <= {*session.buckets}


def test_an_answer_is_not_overwritten_by_the_next(bundle_folder: Path) -> None:
    session = BoundOnCpu(bundle_folder / "encoder.onnx", threads=1)
    first = session.run({"image": golden_crops()[:2]})["mu"]
    kept = first.copy()
    session.run({"image": golden_crops()[2:4]})
    np.testing.assert_array_equal(first, kept)


def test_a_batch_is_one_copy_in_and_one_copy_out(bundle_folder: Path) -> None:
    session = BoundOnCpu(bundle_folder / "encoder.onnx", threads=1)
    assert len(session.signature().outputs) == 3
    for batch in (1, 5, 32):
        session.run({"image": np.resize(golden_crops(), (batch, 128, 128, 3))})
        assert session.gpu.copies == ["in", "out"]
        session.gpu.copies.clear()


def test_a_closed_session_does_not_run_and_has_freed_its_memory(bundle_folder: Path) -> None:
    session = BoundOnCpu(bundle_folder / "encoder.onnx", threads=1)
    session.run({"image": golden_crops()})
    assert session.gpu.blocks
    session.close()
    session.close()
    assert (session.gpu.blocks, session.gpu.streams) == ({}, set())
    with pytest.raises(ContractError, match="closed"):
        session.run({"image": golden_crops()})


def test_a_fault_that_shows_in_a_run_only_is_explained_like_one_of_the_start(bundle_folder: Path) -> None:
    session = BoundOnCpu(bundle_folder / "encoder.onnx", threads=1)

    class Faulty:
        io_binding = session._session.io_binding

        def run_with_iobinding(self, *arguments: object) -> None:
            raise Fail("Status Message: CUDA error cudaErrorNoKernelImageForDevice:no kernel image is available")

    session._session = Faulty()
    with pytest.raises(RuntimeUnavailable, match=r"cannot run encoder\.onnx: this build has no kernels for this GPU"):
        session.run({"image": golden_crops()})


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives_for_every_batch(bundle_folder: Path) -> None:
    session = open_session(bundle_folder / "encoder.onnx", "onnxruntime-cuda")
    reference = open_session(bundle_folder / "encoder.onnx", "onnxruntime-cpu")
    for batch in (1, 3, 6, 40, 3, 1):
        crops = np.resize(golden_crops(), (batch, 128, 128, 3))
        np.testing.assert_allclose(
            session.run({"image": crops})["mu"], reference.run({"image": crops})["mu"], rtol=1e-3, atol=1e-3
        )
    session.close()


@pytest.mark.gpu
def test_auto_takes_the_gpu_after_the_golden_check(bundle_folder: Path) -> None:
    with load(bundle_folder) as model:
        assert model.runtime != "onnxruntime-cpu", model.passed_over
