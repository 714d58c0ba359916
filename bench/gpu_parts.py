"""The parts of `make gpu-check`: each yields rows (what, figure) as it measures them.

A part raises RuntimeUnavailable where it cannot run here, and anything else where it ran and went wrong. None needs
demo/ears or a network.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu_feed import DEMO, decoding, overlap, standard_encoder
from bundle.errors import RuntimeUnavailable
from bundle.golden import golden_crops
from bundle.image import to_png
from bundle.model import load
from bundle.runtimes import candidates, open_session
from bundle.tensorrt.cache import EngineCache
from bundle.tensorrt.cuda import gpu_present
from bundle.tensorrt.flavour import installed_flavours
from bundle.tensorrt.session import open_tensorrt
from common.gpu_faults import driver_fault
from export.bench.clock import measure_until_stable
from export.parity.judge import LIMITS, ParityRow, judge_encoder

ROOT = Path(__file__).resolve().parents[1]
PEAK_SIDE = 8192
BATCHES = (1, 8, 32)
TRAINING_SIZES = ((4, 1024), (16, 1024), (32, 448))
"""Batch and SAM's input side, px, of the training step."""
PICTURES, SUBJECTS = 256, 32
WINDOW_S = 1.0
Row = tuple[str, str]
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


def fp16_truth() -> Rows:
    """The full-size teacher in float16 as the GPU computes it, judged by the gate's limits against float32."""
    torch = _torch_on_cuda()
    from export.graph.fp16 import to_half
    from export.graph.rewrite import rewrite
    from export.graph.wrappers import ENCODER_OUTPUTS, EncoderGraph

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    crops = torch.from_numpy(golden_crops()).cuda()
    rewritten = rewrite(_teacher())
    results = []
    for networks in (rewritten, to_half(rewritten)):
        graph = EncoderGraph(networks).cuda().eval()
        with torch.inference_mode():
            outputs = [output.float().cpu().numpy() for output in graph(crops)]
        results.append(dict(zip(ENCODER_OUTPUTS, outputs, strict=True)))
    reference, given = results
    run = ParityRow("encoder", "fp16", "cuda", len(crops), len(crops))
    row = judge_encoder(run, reference, given, LIMITS["fp16"])
    if not row.passed:
        raise AssertionError("; ".join(row.refusals))
    return [("cosine min", f"{row.cosine_min:.6f}"), ("error / distance", f"{row.relative_error:.3%}")]


def latency() -> Iterator[Row]:
    """The full-size teacher, fp16: every runtime here beside Hugging Face's sdpa in torch and the matmul limit."""
    torch = _torch_on_cuda()
    from export.graph.flops import matmul_gflop
    from export.graph.wrappers import EncoderGraph

    vae = _teacher()
    work = matmul_gflop(vae)["encoder"] * 1e9
    peak = _peak_flops(torch)
    yield "limit: product of 8192 x 8192, fp16", f"{peak / 1e12:.0f} TFLOP/s"
    graph = EncoderGraph(vae).cuda().eval()
    base = {batch: _eager_ms(torch, graph, batch) for batch in BATCHES}
    yield from ((f"Hugging Face in torch, autocast fp16, batch {batch}", f"{ms:.2f} ms") for batch, ms in base.items())
    graph.cpu()
    torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory() as folder:
        onnx = _export_teacher(Path(folder))
        for runtime in [name for name in candidates() if name != "onnxruntime-cpu"]:
            yield from _runtime_rows(onnx, runtime, base, work, peak)


def engines() -> Iterator[Row]:
    """Engines of an encoder and a decoder: built, loaded again, compared with ONNX Runtime on the CPU."""
    if not installed_flavours():
        raise RuntimeUnavailable("neither TensorRT nor TensorRT-RTX is installed; docs/export.md has the install lines")
    _need_gpu()
    inputs = {"encoder": {"image": _crops(8)}, "decoder": {"latent": np.ones((8, 1024), np.float32)}}
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


def training_step() -> Iterator[Row]:
    """The teacher's training step at several sizes, beside Hugging Face's SAM alone (bench/training_speed.py)."""
    _torch_on_cuda()
    with tempfile.TemporaryDirectory() as folder:
        data = write_pictures(Path(folder))
        for batch, size in TRAINING_SIZES:
            command = [sys.executable, "-m", "bench.training_speed", "--data", str(data), "--preset", "teacher"]
            flags = ["--batch-size", str(batch), "--sam-size", str(size), "--freeze-layers", "6", "--steps", "8"]
            text = _output([*command, *flags], 120)
            cells = [
                [cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if "x |" in line
            ]
            for name, per_s, *_ in cells:
                yield f"{name}, {size} px, batches of {batch}", f"{per_s} pictures/s"


def write_pictures(folder: Path) -> Path:
    """The golden crops as a training set of `PICTURES` pictures with subjects; returns its metadata.csv."""
    crops = golden_crops()
    lines = ["path,subject,side"]
    for number in range(PICTURES):
        (folder / f"{number}.png").write_bytes(to_png(crops[number % len(crops)]))
        lines.append(f"{number}.png,{number % SUBJECTS},left")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "metadata.csv"


PARTS: dict[str, Part] = {
    "tests marked gpu": Part(gpu_tests, 180),
    "CUDA parity": Part(cuda_parity, 90),
    "fp16 truth": Part(fp16_truth, 90),
    "latency": Part(latency, 240),
    "overlap": Part(overlap, 120),
    "decoding": Part(decoding, 60),
    "engine build": Part(engines, 240),
    "training step": Part(training_step, 240),
}


def _need_gpu() -> None:
    if not gpu_present():
        raise RuntimeUnavailable(driver_fault() or "no CUDA GPU can be used here: is cuda-bindings installed?")


def _torch_on_cuda() -> Any:
    try:
        import torch
    except ImportError as error:
        raise RuntimeUnavailable(f"torch cannot be imported ({error}); it is expected on a GPU machine") from error
    if not torch.cuda.is_available():
        raise RuntimeUnavailable(f"torch {torch.__version__} sees no CUDA GPU")
    return torch


@cache
def _teacher() -> Any:
    from bench.export_graph import make_vae
    from training.presets import PRESETS

    return make_vae(PRESETS["teacher"])


def _crops(batch: int) -> Any:
    return np.resize(golden_crops(), (batch, 128, 128, 3))


def _eager_ms(torch: Any, graph: Any, batch: int) -> float:
    crops = torch.from_numpy(_crops(batch)).cuda()

    def run() -> None:
        with torch.inference_mode(), torch.autocast("cuda", torch.float16):
            graph(crops)
        torch.cuda.synchronize()

    return measure_until_stable(run, WINDOW_S).latency.p50_ms


def _peak_flops(torch: Any) -> float:
    left, right = (torch.randn(PEAK_SIDE, PEAK_SIDE, device="cuda", dtype=torch.float16) for _ in range(2))

    def run() -> None:
        left @ right
        torch.cuda.synchronize()

    return 2 * PEAK_SIDE**3 / (measure_until_stable(run, 0.2).latency.p50_ms / 1000)


def _export_teacher(folder: Path) -> Path:
    from export.config import ExportConfig
    from export.graph.attention import attention_form
    from export.graph.rewrite import rewrite
    from export.parity.variants import write_variant

    form = attention_form("fp16", ExportConfig.opset, portable=False)
    return write_variant(rewrite(_teacher(), form), "encoder", "fp16", folder, ExportConfig.opset)


def _runtime_rows(onnx: Path, runtime: str, base: dict[int, float], work: float, peak: float) -> Rows:
    try:
        session = open_session(onnx, runtime, precision="fp16")
    except RuntimeUnavailable as error:
        return [(f"{runtime} fp16", f"skipped: {error}")]
    rows = []
    for batch, eager_ms in base.items():
        inputs = {"image": _crops(batch)}
        timing = measure_until_stable(lambda inputs=inputs: session.run(inputs), WINDOW_S)  # type: ignore[misc]
        p50 = timing.latency.p50_ms
        share = work * batch / peak / (p50 / 1000)
        steady = "" if timing.stable else ", unsteady"
        figure = f"{p50:.2f} ms, {eager_ms / p50:.1f} x torch, {share:.0%} of the limit{steady}"
        rows.append((f"{runtime} fp16, batch {batch}", figure))
    session.close()
    return rows


def _last_line(command: list[str], timeout_s: float) -> str:
    return _output(command, timeout_s).strip().splitlines()[-1]


def _output(command: list[str], timeout_s: float) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing was printed"]
        raise RuntimeError(f"{' '.join(command[1:4])} ended with status {done.returncode}: {lines[-1]}")
    return done.stdout
