"""How near the exported encoder comes to the machine's matmul limit, against torch and Hugging Face's own export.

    python -m bench.export_graph --sizes 224,448,1024 --json out.json

One process, one thread count, all contenders in turn: torch eager, ONNX Runtime on the plain export of Hugging Face's
forward, ONNX Runtime on ours (standard operators, and the fused form that bundles carry). The limit is the graph's
arithmetic (`export.graph.flops`) at the rate of a large product in the same run, so that ratios hold on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from common.machine import physical_cores
from common.provenance import commit
from export.bench.hardware import this_machine, versions
from export.bench.peak import CPU, measure_peak
from export.graph.attention import FoldedAttention
from export.graph.flops import matmul_gflop
from export.graph.onnx_export import GraphSpec, export_onnx
from export.graph.rewrite import rewrite
from export.graph.wrappers import ENCODER_INPUT, ENCODER_OUTPUTS, EncoderGraph
from training.model_config import ModelConfig
from training.networks.vae import EarVAE
from training.presets import PRESETS

EAGER, HUGGING_FACE, STANDARD, FUSED = (
    "torch eager",
    "Hugging Face's export",
    "ours, standard operators",
    "ours, fused attention",
)
OPSETS = {HUGGING_FACE: 18, STANDARD: 20, FUSED: 20}
"""Those that the exporters would take: of the facts known before ours was measured, and of `ear-teacher export`."""


def make_vae(config: ModelConfig) -> EarVAE:
    """Random weights, std 0.02, relative positions not left at zero."""
    torch.manual_seed(0)
    vae = EarVAE(config).eval().requires_grad_(False)
    for name, parameter in vae.named_parameters():
        if "rel_pos" in name:
            nn.init.normal_(parameter, std=0.02)
    return vae


def contenders(vae: EarVAE, folder: Path, threads: int) -> dict[str, Callable[[np.ndarray], Any]]:
    """Name -> a function that encodes crops (B, S, S, 3) uint8."""
    networks = {HUGGING_FACE: vae, STANDARD: rewrite(vae), FUSED: rewrite(vae, FoldedAttention)}
    graph = EncoderGraph(vae).eval()

    def eager(crops: np.ndarray) -> Any:
        with torch.inference_mode():
            return graph(torch.from_numpy(crops))

    graphs: dict[str, Callable[[np.ndarray], Any]] = {EAGER: eager}
    side = vae.config.image_size_px
    for name, changed in networks.items():
        spec = GraphSpec("encoder", ENCODER_INPUT, (side, side, 3), torch.uint8, ENCODER_OUTPUTS, OPSETS[name])
        export_onnx(EncoderGraph(changed), spec, folder / f"{name}.onnx")
        graphs[name] = _runner(folder / f"{name}.onnx", threads)
    return graphs


def _runner(path: Path, threads: int) -> Callable[[np.ndarray], Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda crops: session.run(None, {ENCODER_INPUT: crops})


def race(
    graphs: dict[str, Callable[[np.ndarray], Any]], crops: np.ndarray, rounds: int, threads: int
) -> dict[str, Any]:
    """Best seconds of each contender over interleaved rounds, and the best peak measured between them."""
    best = dict.fromkeys(graphs, float("inf"))
    peaks = []
    for _ in range(rounds):
        peak = measure_peak(CPU, "fp32", threads)
        peaks.append(peak.gflops if peak else float("nan"))
        for name, run in graphs.items():
            start = time.perf_counter()
            run(crops)
            best[name] = min(best[name], time.perf_counter() - start)
    return {"seconds": best, "peak_gflops": max(peaks)}


def profile(vae: EarVAE, folder: Path, crops: np.ndarray, threads: int, top: int = 8) -> dict[str, float]:
    """Share of each kind of operator in one run of the fused form, largest first."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = ort.InferenceSession(str(folder / f"{FUSED}.onnx"), options, providers=["CPUExecutionProvider"])
    for _ in range(2):
        session.run(None, {ENCODER_INPUT: crops})
    events = json.loads(Path(session.end_profiling()).read_text())
    kernels = [event for event in events if event["name"].endswith("_kernel_time")]
    spent: Counter[str] = Counter()
    for event in kernels[len(kernels) // 2 :]:
        spent[event["args"]["op_name"]] += event["dur"]
    total = sum(spent.values())
    return {name: round(duration / total, 4) for name, duration in spent.most_common(top)}


def measure(config: ModelConfig, batch: int, rounds: int, threads: int) -> dict[str, Any]:
    """Everything about one model shape."""
    vae = make_vae(config)
    crops = np.random.default_rng(0).integers(
        0, 256, (batch, config.image_size_px, config.image_size_px, 3), dtype=np.uint8
    )
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raced = race(contenders(vae, folder, threads), crops, rounds, threads)
        shares = profile(vae, folder, crops, threads)
    limit_s = matmul_gflop(vae)["encoder"] * batch / raced["peak_gflops"]
    return {
        "preset": config.preset,
        "sam_size_px": config.sam.image_size_px,
        "batch": batch,
        **raced,
        "limit_s": limit_s,
        "over_limit": {name: seconds / limit_s for name, seconds in raced["seconds"].items()},
        "profile": shares,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    names = list(rows[0]["seconds"])
    lines = ["| model | SAM px | batch | limit s | " + " | ".join(names) + " |", "|---" * (4 + len(names)) + "|"]
    for row in rows:
        cells = [f"{row['seconds'][name]:.3f} ({row['over_limit'][name]:.2f}x)" for name in names]
        head = (row["preset"], row["sam_size_px"], row["batch"], f"{row['limit_s']:.3f}")
        lines.append("| " + " | ".join([*map(str, head), *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Parse flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="224,448", help="SAM input sizes of the teacher, pixels; 0: the tiny preset")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for size in map(int, options.sizes.split(",")):
        teacher = PRESETS["teacher"]
        config = replace(teacher, sam=replace(teacher.sam, image_size_px=size)) if size else PRESETS["tiny"]
        rows.append(measure(config, options.batch, options.rounds, options.threads))
        print(table(rows[-1:]), rows[-1]["profile"], sep="\n", flush=True)
    report = {"commit": commit(), "hardware": this_machine().to_dict(), "versions": versions(), "rows": rows}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
