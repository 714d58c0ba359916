"""ONNX Runtime sessions and the choice among runtimes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import bundle.session_onnx
from bundle.errors import ContractError, RuntimeUnavailable
from bundle.golden import golden_crops
from bundle.runtimes import candidates, open_session
from bundle.session import FakeSession
from bundle.session_onnx import why_provider_is_absent
from common.gpu_faults import INSTALL


def test_the_cpu_session_computes_and_says_what_it_is(bundle_folder: Path) -> None:
    session = open_session(bundle_folder / "encoder.onnx", "onnxruntime-cpu", threads=1)
    outputs = session.run({"image": golden_crops()})
    assert (session.runtime, session.precision) == ("onnxruntime-cpu", "fp32")
    assert {name: array.shape for name, array in outputs.items()} == dict.fromkeys(
        ("embedding", "mu", "logvar"), (6, 32)
    )
    assert session.signature().inputs == {"image": ("uint8", ("batch", 128, 128, 3))}


def test_auto_takes_what_is_installed(bundle_folder: Path) -> None:
    assert candidates()[-1] == "onnxruntime-cpu"
    assert open_session(bundle_folder / "decoder.onnx").runtime in candidates()


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="needs a CPU build")
def test_cuda_without_its_build_is_one_sentence_that_says_what_to_install(bundle_folder: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"no CUDAExecutionProvider .*ear-teacher\[gpu\]"):
        open_session(bundle_folder / "encoder.onnx", "onnxruntime-cuda")


class Provider:
    """ONNX Runtime's session where CUDA was asked for; it runs on `providers`, or says `fault`."""

    asked: dict = {}

    def __init__(self, providers: tuple[str, ...], fault: str = "") -> None:
        self.providers, self.fault = providers, fault

    def __call__(self, path: str, options: object, **asked: object) -> Provider:
        Provider.asked = asked
        if self.fault:
            raise RuntimeError(self.fault)
        return self

    def get_providers(self) -> list[str]:
        return [*self.providers]


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As with onnxruntime-gpu beside a driver that works."""
    monkeypatch.setattr(bundle.session_onnx, "providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(bundle.session_onnx, "driver_fault", lambda: None)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    return monkeypatch


def test_a_session_that_onnx_runtime_put_on_the_cpu_instead_is_refused(cuda_build, bundle_folder: Path) -> None:
    cuda_build.setattr(onnxruntime, "InferenceSession", Provider(("CPUExecutionProvider",)))
    with pytest.raises(RuntimeUnavailable, match=r"cannot start CUDAExecutionProvider: .*pip install .*\[gpu\]"):
        open_session(bundle_folder / "encoder.onnx", "onnxruntime-cuda")
    assert Provider.asked["enable_fallback"] == 0


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc", "memory is full"),
        ("CUDA failure 209: no kernel image is available for execution on the device", "no kernels for this GPU"),
    ],
)
def test_a_fault_of_the_gpu_at_the_start_is_no_fault_of_the_file(cuda_build, bundle_folder, fault, cause) -> None:
    cuda_build.setattr(onnxruntime, "InferenceSession", Provider((), fault))
    with pytest.raises(RuntimeUnavailable, match=cause):
        open_session(bundle_folder / "encoder.onnx", "onnxruntime-cuda")


def test_a_missing_library_of_the_provider_is_named(tmp_path: Path) -> None:
    for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
        (tmp_path / name).write_bytes(b"")
    assert INSTALL["onnxruntime-cuda"] in why_provider_is_absent(tmp_path / "libonnxruntime_providers_cuda.so")
    assert "libonnxruntime_providers_shared.so" in why_provider_is_absent(tmp_path / "absent" / "cuda.so")


def test_auto_says_which_graph_runs_elsewhere(cuda_build, bundle_folder: Path, caplog) -> None:
    cuda_build.setattr(bundle.session_onnx, "driver_fault", lambda: "no NVIDIA driver is installed")
    session = open_session(bundle_folder / "encoder.onnx", threads=1)
    assert session.runtime == "onnxruntime-cpu"
    assert "encoder.onnx runs on onnxruntime-cpu; passed over: " in caplog.text
    assert "no NVIDIA driver is installed" in caplog.text


def test_an_unknown_runtime_is_answered_with_what_there_is(bundle_folder: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"'openvino'; there are auto, .*onnxruntime-cpu, and here can run: "):
        open_session(bundle_folder / "encoder.onnx", "openvino")


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"picture": np.zeros((1, 128, 128, 3), np.uint8)},
        {"image": np.zeros((1, 128, 128, 3), np.float32)},
        {"image": np.zeros((128, 128, 3), np.uint8)},
        {"image": np.zeros((1, 64, 128, 3), np.uint8)},
        {"image": np.zeros((0, 128, 128, 3), np.uint8)},
    ],
)
def test_wrong_inputs_are_refused_with_what_the_graph_takes(bundle_folder: Path, inputs: dict) -> None:
    with pytest.raises(ContractError, match="image"):
        open_session(bundle_folder / "encoder.onnx", threads=1).run(inputs)


def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    with pytest.raises(ContractError, match=r"encoder\.onnx cannot be loaded"):
        open_session(tmp_path / "encoder.onnx", "onnxruntime-cpu")
    with pytest.raises(RuntimeUnavailable, match=r"no runtime can load .*encoder\.onnx; .*onnxruntime-cpu: "):
        open_session(tmp_path / "encoder.onnx")


def test_one_session_serves_several_threads(bundle_folder: Path) -> None:
    session = open_session(bundle_folder / "encoder.onnx", threads=1)
    crops = golden_crops()
    alone = [session.run({"image": crops[at : at + 1]})["mu"] for at in range(6)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda at: session.run({"image": crops[at % 6 : at % 6 + 1]})["mu"], range(48)))
    assert all((mu == alone[at % 6]).all() for at, mu in enumerate(together))


def test_a_closed_session_does_not_run(bundle_folder: Path) -> None:
    session = open_session(bundle_folder / "encoder.onnx", threads=1)
    session.close()
    with pytest.raises(ContractError, match="closed"):
        session.run({"image": golden_crops()})


def test_the_fake_runs_its_function_until_closed() -> None:
    fake = FakeSession(lambda inputs: {"y": inputs["x"] * 2})
    assert fake.run({"x": np.ones(2)})["y"].tolist() == [2, 2]
    fake.close()
    with pytest.raises(ContractError):
        fake.run({"x": np.ones(2)})


def test_the_seam_imports_no_runtime() -> None:
    code = "import sys, bundle.image, bundle.model, bundle.session; print('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
