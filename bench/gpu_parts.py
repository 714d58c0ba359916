"""The parts of `make gpu-check`: each yields rows (what, figure) as it measures them.

A part raises RuntimeUnavailable where it cannot run here, and anything else where it ran and went wrong. None needs
demo/ears or a network.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench.gpu_feed import DEMO, decoding, overlap, standard_encoder
from bench.gpu_torch import Row, attention_forms, crops_of, fp16_truth, latency, output_of, training_step
from bundle.errors import RuntimeUnavailable
from bundle.golden import golden_crops
from bundle.model import load
from bundle.runtimes import open_session
from bundle.tensorrt.cache import EngineCache
from bundle.tensorrt.cuda import gpu_present
from bundle.tensorrt.flavour import installed_flavours
from bundle.tensorrt.session import open_tensorrt
from common.gpu_faults import driver_fault
from export.parity.judge import LIMITS

ROOT = Path(__file__).resolve().parents[1]
Rows = list[Row]


@dataclass(frozen=True)
class Part:
    """One part: what it runs, and how long that may take, in seconds."""

    run: Callable[[], Iterable[Row]]
    limit_s: float


def gpu_tests() -> Iterator[Row]:
    """The tests that are marked `gpu`."""
    _need_gpu()
    files = [str(file) for file in (ROOT / "tests").rglob("test_*.py") if "pytest.mark.gpu" in file.read_text()]
    if not files or not find_spec("pytest"):
        raise RuntimeUnavailable("tests/ did not travel with this tree, or pytest is not installed")
    # Only these files, and no plugin: the others import what a GPU machine need not have.
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-W", "default", "-m", "gpu", "-q", *files]
    yield "pytest -m gpu", _last_line(command, 150)


def cuda_parity() -> Iterator[Row]:
    """The shipped model on CUDA against the golden outputs and against the CPU, at several batch sizes."""
    _need_gpu()
    crops = np.resize(golden_crops(), (32, 128, 128, 3))
    with load(DEMO, "onnxruntime-cuda", "fp32") as model, load(DEMO, "onnxruntime-cpu", "fp32") as truth:
        report = model.check_golden()
        yield "golden check: embedding cosine, worst", f"{report.embedding_cosine:.7f}"
        expected = truth.encode(crops).embedding
        for batch in (1, 3, 32):
            embeddings = model.encode(crops[:batch]).embedding
            worst = float((embeddings * expected[:batch]).sum(1).min())
            if worst < LIMITS["fp32"].cosine_min:
                raise AssertionError(f"batch {batch}: cosine with the CPU is {worst:.7f}")
            yield f"batch {batch}: cosine with the CPU, worst", f"{worst:.7f}"


def engines() -> Iterator[Row]:
    """Engines of an encoder and a decoder: built, loaded again, compared with ONNX Runtime on the CPU."""
    if not installed_flavours():
        raise RuntimeUnavailable("neither TensorRT nor TensorRT-RTX is installed; docs/export.md has the install lines")
    _need_gpu()
    inputs = {"encoder": {"image": crops_of(8)}, "decoder": {"latent": np.ones((8, 1024), np.float32)}}
    outputs = {"encoder": "embedding", "decoder": "image"}
    for runtime in installed_flavours():
        with tempfile.TemporaryDirectory() as folder:
            for graph, onnx in _small_graphs(Path(folder)).items():
                expected = open_session(onnx, "onnxruntime-cpu").run(inputs[graph])[outputs[graph]]
                for attempt in ("built", "loaded from the cache"):
                    start = time.perf_counter()
                    session = open_tensorrt(onnx, runtime, "fp32", cache=EngineCache(Path(folder) / "engines"))
                    yield f"{runtime}: {graph} fp32, {attempt}", f"{time.perf_counter() - start:.1f} s"
                    error = np.abs(session.run(inputs[graph])[outputs[graph]].astype(np.float32) - expected).max()
                    session.close()
                    yield f"{runtime}: {graph} fp32, {attempt}, largest difference from the CPU", f"{error:.3g}"


def _small_graphs(folder: Path) -> dict[str, Path]:
    """The shipped encoder in standard operators, and decoder; without them the tiny preset's, of random weights."""
    if DEMO.is_dir():
        return {"encoder": standard_encoder(folder), "decoder": DEMO / "decoder.onnx"}
    from bench.export_graph import make_vae
    from export.config import ExportConfig
    from export.graph.rewrite import rewrite
    from export.parity.variants import write_variant
    from training.presets import PRESETS

    networks = rewrite(make_vae(PRESETS["tiny"]))
    return {
        "encoder": write_variant(networks, "encoder", "fp32", folder, ExportConfig.opset),
        "decoder": write_variant(networks, "decoder", "fp32", folder, ExportConfig.opset),
    }


PARTS: dict[str, Part] = {
    "tests marked gpu": Part(gpu_tests, 180),
    "CUDA parity": Part(cuda_parity, 90),
    "fp16 truth": Part(fp16_truth, 90),
    "latency": Part(latency, 240),
    "overlap": Part(overlap, 120),
    "decoding": Part(decoding, 60),
    "engine build": Part(engines, 240),
    "training step": Part(training_step, 240),
    "attention": Part(attention_forms, 150),
}


def _need_gpu() -> None:
    if not gpu_present():
        raise RuntimeUnavailable(driver_fault() or "no CUDA GPU can be used here: is cuda-bindings installed?")


def _last_line(command: list[str], timeout_s: float) -> str:
    return output_of(command, timeout_s).strip().splitlines()[-1]
