"""Bound memory and overlap: held against plain runs on the CPU, and on CUDA where there is one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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

    def __init__(self, path: Path, threads: int = 1, slots: int = 1) -> None:
        self.gpu = CountingCuda()
        super().__init__(path, threads, slots=slots, cuda=self.gpu)


class CountingCuda(FakeCuda):
    """Notes every copy."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[str] = []
        self.copied_in = threading.Semaphore(0)

    def forget(self) -> None:
        """What was copied so far, as by warming up."""
        self.copies.clear()
        while self.copied_in.acquire(blocking=False):
            pass

    def to_device(self, address: int, source: int, size_bytes: int, stream: int) -> None:
        self.copies.append("in")
        if len(self.copies) == 2:
            self.copied_in.release()
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
    assert session._ready == {1, 4, 8, 32} <= {*session.buckets}


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
        crops = np.resize(golden_crops(), (batch, 128, 128, 3))
        session.run({"image": crops})  # the size is prepared: memory, a first run
        session.gpu.copies.clear()
        session.run({"image": crops})
        assert session.gpu.copies == ["in", "out"]


class Gated:
    """ONNX Runtime's session, held at a gate; notes which threads computed."""

    def __init__(self, session: Any) -> None:
        self._session, self.io_binding = session, session.io_binding
        self.gate, self.entered = threading.Event(), threading.Semaphore(0)
        self.threads: set[int] = set()

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        self.threads.add(threading.get_ident())
        self.entered.release()
        assert self.gate.wait(20)
        self._session.run_with_iobinding(binding, options)


@pytest.mark.parametrize(("slots", "copied"), [(1, ["in"]), (2, ["in", "in"])])
def test_with_two_slots_the_next_batch_is_copied_in_while_one_is_computed(
    bundle_folder: Path, slots: int, copied: list[str]
) -> None:
    session = BoundOnCpu(bundle_folder / "encoder.onnx", slots=slots)
    batches = [golden_crops()[start : start + 2] for start in (0, 2)]
    plain = [session.run({"image": crops})["mu"] for crops in batches]
    session.gpu.forget()
    gated = session._session = Gated(session._session)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(session.run, {"image": batches[0]})
        assert gated.entered.acquire(timeout=20)
        second = pool.submit(session.run, {"image": batches[1]})
        if slots == 2:
            assert session.gpu.copied_in.acquire(timeout=20)
        assert session.gpu.copies == copied
        assert not gated.entered.acquire(blocking=False)  # one computes at a time
        gated.gate.set()
        np.testing.assert_array_equal(first.result()["mu"], plain[0])
        np.testing.assert_array_equal(second.result()["mu"], plain[1])
    session.close()


def test_one_thread_computes_for_all_callers_so_that_nothing_is_captured_twice(bundle_folder: Path) -> None:
    session = BoundOnCpu(bundle_folder / "encoder.onnx", slots=2)
    gated = session._session = Gated(session._session)
    gated.gate.set()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda batch: session.run({"image": golden_crops()[:batch]}), (1, 2, 3, 4, 1, 2)))
    assert len(gated.threads) == 1
    assert threading.get_ident() not in gated.threads


def test_every_slot_is_prepared_before_a_size_runs_and_a_failure_frees_it(bundle_folder: Path) -> None:
    session = BoundOnCpu(bundle_folder / "encoder.onnx", slots=2)
    session.run({"image": golden_crops()[:2]})
    with session._slots.all() as slots:
        assert [[*slot.buckets] for slot in slots] == [[2], [2]]
    taken = len(session.gpu.blocks)

    def full(binding: Any, options: Any) -> None:
        raise Fail("CUDA error cudaErrorMemoryAllocation:out of memory")

    session._session = SimpleNamespace(io_binding=session._session.io_binding, run_with_iobinding=full)
    with pytest.raises(RuntimeUnavailable, match="the GPU's memory is full"):
        session.run({"image": golden_crops()[:1]})
    assert len(session.gpu.blocks) == taken


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
