"""Execution slots, buckets, profiles and graphs on a fake GPU; real engines on a real one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import bundle.tensorrt.flavour
from bundle.errors import ContractError, EngineError, RuntimeUnavailable
from bundle.golden import check_encoder, golden_crops
from bundle.runtimes import open_session
from bundle.tensorrt.build import BuildOptions
from bundle.tensorrt.cache import EngineCache
from bundle.tensorrt.cuda import gpu_present
from bundle.tensorrt.flavour import installed_flavours
from bundle.tensorrt.session import TensorRtSession, load_engine, open_tensorrt
from tests.bundle.fake_gpu import FakeCuda, FakeEngine, fake_flavour


def rows(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (batch, 3), dtype=np.uint8)


def expected(x: np.ndarray) -> np.ndarray:
    return np.stack([x.sum(axis=1), x.mean(axis=1)], axis=1).astype(np.float32)


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def session(cuda: FakeCuda, request: pytest.FixtureRequest) -> TensorRtSession:
    return TensorRtSession(FakeEngine(cuda), fake_flavour(request.param), cuda, "fp16")


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 7, 8, 9, 20])
def test_every_batch_gives_its_own_rows_again_and_again(session: TensorRtSession, batch: int) -> None:
    for seed in range(3):  # the first runs as it is, the later ones as a graph
        np.testing.assert_allclose(session.run({"x": rows(batch, seed)})["y"], expected(rows(batch, seed)), rtol=1e-6)


def test_a_batch_is_padded_to_its_bucket_within_one_profile(cuda: FakeCuda) -> None:
    engine = FakeEngine(cuda)
    session = TensorRtSession(engine, fake_flavour(), cuda, "fp16")
    for batch in (1, 2, 3, 4, 5, 8, 3):
        session.run({"x": rows(batch)})
    assert [(context.batch, context.profile) for context in engine.contexts] == [(1, 0), (2, 1), (4, 1), (8, 2)]


def test_a_bucket_below_its_profile_is_raised_to_it(cuda: FakeCuda) -> None:
    engine = FakeEngine(cuda, profiles=((3, 8, 8),))
    session = TensorRtSession(engine, fake_flavour(), cuda, "fp16")
    np.testing.assert_allclose(session.run({"x": rows(1)})["y"], expected(rows(1)))
    assert engine.contexts[0].batch == 3


@pytest.mark.parametrize(
    ("profiles", "buckets"), [(((1, 1, 1), (2, 4, 4), (5, 8, 8)), (1, 2, 4, 8)), (((3, 8, 8),), (3, 4, 8))]
)
def test_the_buckets_told_are_those_that_run(cuda: FakeCuda, profiles: Any, buckets: tuple[int, ...]) -> None:
    engine = FakeEngine(cuda, profiles=profiles)
    session = TensorRtSession(engine, fake_flavour(), cuda, "fp16")
    for batch in range(1, 9):
        session.run({"x": rows(batch)})
    assert session.buckets == tuple(context.batch for context in engine.contexts) == buckets


def test_the_first_run_is_plain_and_the_later_ones_are_one_graph(cuda: FakeCuda) -> None:
    session = TensorRtSession(FakeEngine(cuda), fake_flavour(), cuda, "fp16")
    for launches in (0, 1, 2):
        session.run({"x": rows(4)})
        assert (cuda.launches, cuda.graphs) == (launches, 1)
    session.run({"x": rows(1)})
    assert (cuda.launches, cuda.graphs) == (2, 2)


def test_an_engine_that_cannot_be_captured_runs_without(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(stream: int, work: Any) -> None:
        raise RuntimeUnavailable("CUDA: operation not permitted when stream is capturing")

    monkeypatch.setattr(cuda, "capture", refuses)
    session = TensorRtSession(FakeEngine(cuda), fake_flavour(), cuda, "fp16")
    for seed in range(3):
        np.testing.assert_allclose(session.run({"x": rows(4, seed)})["y"], expected(rows(4, seed)), rtol=1e-6)


def test_rtx_captures_its_graphs_itself(cuda: FakeCuda) -> None:
    engine = FakeEngine(cuda)
    session = TensorRtSession(engine, fake_flavour("tensorrt-rtx"), cuda, "fp16")
    for _ in range(3):
        session.run({"x": rows(4)})
    assert (cuda.launches, cuda.graphs) == (0, 0)
    assert engine.contexts[0].how.cuda_graph_strategy == "whole"


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_many_callers_share_the_slots(cuda: FakeCuda, slots: int) -> None:
    session = TensorRtSession(FakeEngine(cuda), fake_flavour(), cuda, "fp16", slots)
    assert session.slots == slots
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda seed: (seed, session.run({"x": rows(1 + seed % 8, seed)})["y"]), range(64))
        for seed, answer in answers:
            np.testing.assert_allclose(answer, expected(rows(1 + seed % 8, seed)), rtol=1e-6)


def test_an_answer_is_not_overwritten_by_the_next(session: TensorRtSession) -> None:
    first = session.run({"x": rows(4, 1)})["y"]
    session.run({"x": rows(4, 2)})
    np.testing.assert_allclose(first, expected(rows(4, 1)), rtol=1e-6)


def test_closing_gives_all_memory_back_and_refuses_callers(cuda: FakeCuda) -> None:
    session = TensorRtSession(FakeEngine(cuda), fake_flavour(), cuda, "fp16", slots=2)
    session.run({"x": rows(4)})
    session.close()
    session.close()
    assert (len(cuda.blocks), cuda.graphs, len(cuda.streams)) == (0, 0, 0)
    for _ in range(2):
        with pytest.raises(ContractError, match="the tensorrt session was closed"):
            session.run({"x": rows(1)})


def test_device_times_are_three_steps_of_one_batch(session: TensorRtSession) -> None:
    assert session.device_times_ms({"x": rows(4)}) == (0.5, 0.5, 0.5)
    with pytest.raises(ContractError, match="batch 9 is beyond the plan's largest, 8"):
        session.device_times_ms({"x": rows(9)})


def test_wrong_inputs_are_refused(session: TensorRtSession) -> None:
    assert session.signature().inputs == {"x": ("uint8", (-1, 3))}
    with pytest.raises(ContractError, match="input x is"):
        session.run({"x": rows(2).astype(np.float32)})


def test_a_refused_launch_is_an_engine_error(cuda: FakeCuda) -> None:
    engine = FakeEngine(cuda)
    session = TensorRtSession(engine, fake_flavour(), cuda, "fp16")
    session.run({"x": rows(2)})
    engine.contexts[0].execute_async_v3 = lambda stream: False  # type: ignore[method-assign]
    with session._slots.one() as slot:
        slot._programs[2].graph = None
    with pytest.raises(EngineError, match="could not run a batch of 2"):
        session.run({"x": rows(2)})


def test_a_refused_plan_tells_tensorrts_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def __init__(self, logger: Any) -> None:
            logger.log("ERROR", "The engine plan file was generated by version 10.16, expecting 11.4")

        def deserialize_cuda_engine(self, plan: bytes) -> None:
            return None

    severity = SimpleNamespace(ERROR="ERROR", INTERNAL_ERROR="INTERNAL_ERROR")
    base = type("ILogger", (), {"Severity": severity})
    flavour = fake_flavour()
    flavour.trt.ILogger, flavour.trt.Runtime = base, Refusing
    monkeypatch.setattr(bundle.tensorrt.flavour, "LOGGERS", {})
    with pytest.raises(EngineError, match=r"refuses the plan of encoder\.onnx: .*version 10\.16.*--anew"):
        load_engine(flavour, b"plan", "encoder.onnx")


@pytest.mark.skipif(gpu_present(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_without_a_gpu_one_sentence_says_so(bundle_folder: Path, runtime: str) -> None:
    with pytest.raises(RuntimeUnavailable, match="GPU|driver"):
        open_session(bundle_folder / "encoder.onnx", runtime)


@pytest.mark.gpu
@pytest.mark.parametrize("runtime", installed_flavours() or ["none"])
def test_a_real_engine_reproduces_the_golden_outputs(bundle_folder: Path, tmp_path: Path, runtime: Any) -> None:
    if runtime == "none":
        pytest.skip("neither TensorRT nor TensorRT-RTX is installed")
    options = BuildOptions(batches=(1, 8))
    session = open_tensorrt(
        bundle_folder / "encoder.onnx", runtime, "fp32", options=options, cache=EngineCache(tmp_path)
    )
    reference = open_session(bundle_folder / "encoder.onnx", "onnxruntime-cpu")
    for batch in (1, 3, 6, 20, 3, 1):
        crops = np.resize(golden_crops(), (batch, 128, 128, 3))
        np.testing.assert_allclose(
            session.run({"image": crops})["mu"], reference.run({"image": crops})["mu"], rtol=1e-3, atol=1e-3
        )
    assert check_encoder(session, bundle_folder)[0] > 0.9999
    assert min(session.device_times_ms({"image": golden_crops()})) > 0
    session.close()
