"""TensorRT engines built beside the traffic. Without a GPU build and runtime's name are stood in; the swap is real."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import serve.lifecycle.model_registry
import serve.lifecycle.tensorrt_build
from bundle.errors import EngineAbsent, GoldenMismatch
from bundle.model import EarModel, load
from serve.lifecycle.tensorrt_build import BuildFailed, TensorrtBuilds, wanted
from tests.serve.conftest import png

PATIENCE_S = 60


@pytest.fixture
def tensorrt_here(monkeypatch):
    """As on a machine with TensorRT and a GPU; returns an event that lets the build end."""
    monkeypatch.setattr(serve.lifecycle.tensorrt_build, "installed_flavours", lambda: ("tensorrt",))
    monkeypatch.setattr(serve.lifecycle.tensorrt_build, "gpu_present", lambda: True)
    built = threading.Event()
    monkeypatch.setattr(TensorrtBuilds, "_build", lambda self, folder, flavour: built.wait(PATIENCE_S))

    def load_what_is_there(folder, runtime, precision, threads, build=True, slots=1):
        model = load(folder, "onnxruntime-cpu", precision, threads)
        if built.is_set():
            model.runtime = "tensorrt"
        elif runtime == "tensorrt":
            model.close()
            raise EngineAbsent("the cache has no tensorrt engine for this file and GPU")
        return model

    monkeypatch.setattr(serve.lifecycle.model_registry, "load", load_what_is_there)
    return built


def told(client):
    (model,) = client.get("/v1/models").json()["data"]
    return model["runtime"], model["engine_build"]


def until(client, state):
    end = time.monotonic() + PATIENCE_S
    while (now := told(client))[1]["state"] != state:
        assert time.monotonic() < end, now
        time.sleep(0.02)
    return now


@pytest.mark.parametrize("runtime", ["auto", "tensorrt"])
def test_another_runtime_answers_while_the_engine_is_built_and_no_request_fails_when_it_takes_over(
    serve, tensorrt_here, runtime
):
    with serve(runtime=runtime, request_timeout_s=1.0) as client, ThreadPoolExecutor(4) as pool:
        assert told(client) == ("onnxruntime-cpu", {"runtime": "tensorrt", "state": "building", "reason": None})
        stop = threading.Event()

        def ask(seed):
            codes = []
            while not stop.is_set():
                codes.append(client.post("/v1/embed", content=png(seed)).status_code)
            return codes

        asking = [pool.submit(ask, seed) for seed in range(4)]
        time.sleep(0.2)
        tensorrt_here.set()
        assert until(client, "done")[0] == "tensorrt"
        time.sleep(1.5)  # past the moment when the elder is freed
        stop.set()
        codes = [code for one in asking for code in one.result()]
        assert len(codes) > 8
        assert set(codes) == {200}


def test_models_say_what_was_asked_for_and_why_another_runtime_answers(serve, tensorrt_here, caplog):
    with serve(runtime="tensorrt") as client:
        (model,) = client.get("/v1/models").json()["data"]
        assert (model["runtime"], model["requested_runtime"]) == ("onnxruntime-cpu", "tensorrt")
        assert model["fallback_reasons"][0] == "tensorrt: the cache has no tensorrt engine for this file and GPU"
        tensorrt_here.set()
    assert "onnxruntime-cpu (fp32) answers; --runtime is tensorrt; passed over tensorrt: the cache has" in caplog.text


def test_an_engine_that_fails_the_golden_check_never_answers(serve, tensorrt_here, monkeypatch):
    def refuse(self):
        if self.runtime == "tensorrt":
            raise GoldenMismatch("cosine is 0.2")

    monkeypatch.setattr(EarModel, "check_golden", refuse)
    with serve() as client:
        tensorrt_here.set()
        runtime, build = until(client, "failed")
        assert runtime == "onnxruntime-cpu"
        assert "cosine is 0.2" in build["reason"]
        assert client.post("/v1/embed", content=png(1)).status_code == 200


def test_a_build_that_breaks_off_is_told_and_tried_once(serve, tensorrt_here, monkeypatch):
    tries = []

    def fail(self, folder, flavour):
        tries.append(flavour)
        raise BuildFailed("no tensorrt engine could be built: out of memory")

    monkeypatch.setattr(TensorrtBuilds, "_build", fail)
    with serve() as client:
        assert "out of memory" in until(client, "failed")[1]["reason"]
        client.app.state.service.tensorrt_builds.consider()
        assert tries == ["tensorrt"]


def test_the_building_process_says_why_it_failed(serve, bundle_folder):
    """The real command: without a GPU it ends with one sentence, which is passed on."""
    with serve() as client, pytest.raises(BuildFailed, match="no tensorrt engine could be built: ear-teacher engine: "):
        client.app.state.service.tensorrt_builds._build(bundle_folder, "tensorrt")


@pytest.mark.parametrize(
    ("asked", "runs_on", "installed", "expected"),
    [
        ("auto", "onnxruntime-cpu", ("tensorrt", "tensorrt-rtx"), "tensorrt"),
        ("auto", "onnxruntime-cuda", ("tensorrt-rtx",), "tensorrt-rtx"),
        ("auto", "tensorrt", ("tensorrt",), None),
        ("auto", "onnxruntime-cpu", (), None),
        ("tensorrt-rtx", "onnxruntime-cpu", ("tensorrt", "tensorrt-rtx"), "tensorrt-rtx"),
        ("onnxruntime-cpu", "onnxruntime-cpu", ("tensorrt",), None),
    ],
)
def test_only_what_was_asked_for_and_is_installed_is_built(monkeypatch, asked, runs_on, installed, expected):
    monkeypatch.setattr(serve.lifecycle.tensorrt_build, "installed_flavours", lambda: installed)
    monkeypatch.setattr(serve.lifecycle.tensorrt_build, "gpu_present", lambda: True)
    assert wanted(asked, runs_on) == expected
    monkeypatch.setattr(serve.lifecycle.tensorrt_build, "gpu_present", lambda: False)
    assert wanted(asked, runs_on) is None
