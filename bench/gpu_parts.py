"""The parts of `make gpu-check`. Each returns rows (what, figure), raises RuntimeUnavailable where it cannot run here,
and anything else where it ran and went wrong.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bundle.engines import build_engines
from bundle.errors import RuntimeUnavailable
from bundle.golden import golden_crops
from bundle.model import load
from bundle.runtimes import candidates, open_session
from bundle.tensorrt.build import BuildOptions
from bundle.tensorrt.cache import EngineCache
from bundle.tensorrt.cuda import gpu_present
from bundle.tensorrt.flavour import installed_flavours
from export.bench.clock import measure_until_stable
from export.parity.judge import ParityRow, judge_encoder
from export.parity.limits import LIMITS

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "demo" / "bundle"
PEAK_SIDE = 8192
BATCHES = (1, 8)
WINDOW_S = 1.0
Rows = list[tuple[str, str]]


def gpu_tests() -> Rows:
    """The tests that are marked `gpu`."""
    _need_gpu()
    return [("pytest -m gpu", _last_line([sys.executable, "-m", "pytest", "-m", "gpu", "-q"], 150))]


def cuda_parity() -> Rows:
    """The shipped model on CUDA against the golden outputs and against the CPU, at several batch sizes."""
    _need_gpu()
    crops = np.resize(golden_crops(), (32, 128, 128, 3))
    with load(DEMO, "onnxruntime-cuda", "fp32") as model, load(DEMO, "onnxruntime-cpu", "fp32") as truth:
        report = model.check_golden()
        rows = [("golden check: embedding cosine, worst", f"{report.embedding_cosine:.7f}")]
        expected = truth.encode(crops).embedding
        for batch in (1, 3, 32):
            given = model.encode(crops[:batch]).embedding
            worst = float((given * expected[:batch]).sum(1).min())
            if worst < LIMITS["fp32"].cosine_min:
                raise AssertionError(f"batch {batch}: cosine with the CPU is {worst:.7f}")
            rows.append((f"batch {batch}: cosine with the CPU, worst", f"{worst:.7f}"))
    return rows


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


def latency() -> Rows:
    """The full-size teacher, fp16: every runtime here beside Hugging Face's sdpa in torch and the matmul limit."""
    torch = _torch_on_cuda()
    from export.graph.flops import matmul_gflop
    from export.graph.wrappers import EncoderGraph

    vae = _teacher()
    work = matmul_gflop(vae)["encoder"] * 1e9
    peak = _peak_flops(torch)
    rows = [("limit: product of 8192 x 8192, fp16", f"{peak / 1e12:.0f} TFLOP/s")]
    graph = EncoderGraph(vae).cuda().eval()
    base = {batch: _eager_ms(torch, graph, batch) for batch in BATCHES}
    rows += [(f"Hugging Face in torch, autocast fp16, batch {batch}", f"{ms:.2f} ms") for batch, ms in base.items()]
    graph.cpu()
    torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory() as folder:
        onnx = _export_teacher(Path(folder))
        for runtime in [name for name in candidates() if name != "onnxruntime-cpu"]:
            rows += _runtime_rows(onnx, runtime, base, work, peak)
    return rows


def engines() -> Rows:
    """Engines of the shipped model, built and loaded on this GPU, where a TensorRT is installed."""
    if not installed_flavours():
        raise RuntimeUnavailable("neither TensorRT nor TensorRT-RTX is installed; docs/export.md has the install lines")
    _need_gpu()
    rows = []
    for runtime in installed_flavours():
        with tempfile.TemporaryDirectory() as folder:
            cache_ = EngineCache(Path(folder))
            for engine in build_engines(DEMO, runtime, "fp32", BuildOptions(), cache_):
                figure = f"{engine.built_s:.1f} s, {engine.size_bytes / 1e6:.1f} MB"
                rows.append((f"{runtime}: {engine.variant.graph} {engine.variant.precision}", figure))
        with load(DEMO, runtime, "fp32") as model:
            rows.append((f"{runtime}: golden embedding cosine", f"{model.check_golden().embedding_cosine:.7f}"))
    return rows


def training_step() -> Rows:
    """The teacher's training step, beside Hugging Face's SAM alone (bench/training_speed.py)."""
    _torch_on_cuda()
    command = [sys.executable, "-m", "bench.training_speed", "--data", "demo/ears", "--preset", "teacher"]
    text = _output([*command, "--batch-size", "4", "--steps", "6"], 150)
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if "x |" in line]
    return [(name, f"{per_s} pictures/s") for name, per_s, *_ in cells]


PARTS: dict[str, Callable[[], Rows]] = {
    "tests marked gpu": gpu_tests,
    "CUDA parity": cuda_parity,
    "fp16 truth": fp16_truth,
    "latency": latency,
    "engine build": engines,
    "training step": training_step,
}


def _need_gpu() -> None:
    if not gpu_present():
        raise RuntimeUnavailable("no CUDA GPU can be used here (nvidia-smi should list one, driver 580 or newer)")


def _torch_on_cuda() -> Any:
    import torch

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
    from export.graph.attention_forms import attention_form
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
        told = (done.stdout.strip() or done.stderr.strip()).splitlines() or ["nothing was said"]
        raise RuntimeError(f"{' '.join(command[1:4])} ended with status {done.returncode}: {told[-1]}")
    return done.stdout
