"""The parts of `make gpu-check` that need torch: the full-size teacher in float16, its latency, its training.

Each yields rows (what, figure). A part raises RuntimeUnavailable where torch sees no GPU.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import RuntimeUnavailable
from bundle.golden import golden_crops
from bundle.image import to_png
from bundle.runtimes import candidates, open_session
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


def fp16_truth() -> list[Row]:
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


def training_step() -> Iterator[Row]:
    """The teacher's training step at several sizes, beside Hugging Face's SAM alone (bench/training_speed.py)."""
    _torch_on_cuda()
    with tempfile.TemporaryDirectory() as folder:
        data = write_pictures(Path(folder))
        for batch, size in TRAINING_SIZES:
            command = [sys.executable, "-m", "bench.training_speed", "--data", str(data), "--preset", "teacher"]
            flags = ["--batch-size", str(batch), "--sam-size", str(size), "--freeze-layers", "6", "--steps", "8"]
            text = output_of([*command, *flags], 120)
            cells = [
                [cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if "x |" in line
            ]
            for name, per_s, *_ in cells:
                yield f"{name}, {size} px, batches of {batch}", f"{per_s} pictures/s"


def attention_forms() -> Iterator[Row]:
    """The teacher's layers with attention folded, and by flex_attention, beside Hugging Face's."""
    torch = _torch_on_cuda()
    from bench.training_attention import rows

    for batch, size in TRAINING_SIZES[1:]:
        yield from rows(torch.device("cuda"), size, batch)


def write_pictures(folder: Path) -> Path:
    """The golden crops as a training set of `PICTURES` pictures with subjects; returns its metadata.csv."""
    crops = golden_crops()
    lines = ["path,subject,side"]
    for number in range(PICTURES):
        (folder / f"{number}.png").write_bytes(to_png(crops[number % len(crops)]))
        lines.append(f"{number}.png,{number % SUBJECTS},left")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "metadata.csv"


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


def _eager_ms(torch: Any, graph: Any, batch: int) -> float:
    crops = torch.from_numpy(crops_of(batch)).cuda()

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


def _runtime_rows(onnx: Path, runtime: str, base: dict[int, float], work: float, peak: float) -> list[Row]:
    try:
        session = open_session(onnx, runtime, precision="fp16")
    except RuntimeUnavailable as error:
        return [(f"{runtime} fp16", f"skipped: {error}")]
    rows = []
    for batch, eager_ms in base.items():
        inputs = {"image": crops_of(batch)}
        timing = measure_until_stable(lambda inputs=inputs: session.run(inputs), WINDOW_S)  # type: ignore[misc]
        p50 = timing.latency.p50_ms
        share = work * batch / peak / (p50 / 1000)
        steady = "" if timing.stable else ", unsteady"
        figure = f"{p50:.2f} ms, {eager_ms / p50:.1f} x torch, {share:.0%} of the limit{steady}"
        rows.append((f"{runtime} fp16, batch {batch}", figure))
    session.close()
    return rows


def crops_of(batch: int) -> Any:
    """(batch, 128, 128, 3) uint8 golden crops."""
    return np.resize(golden_crops(), (batch, 128, 128, 3))


def output_of(command: list[str], timeout_s: float) -> str:
    """What a command printed. Raises RuntimeError with its last line where it failed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing was printed"]
        raise RuntimeError(f"{' '.join(command[1:4])} ended with status {done.returncode}: {lines[-1]}")
    return done.stdout
