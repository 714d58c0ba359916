"""One layer of SAM with its attention in several forms, beside Hugging Face's: equality, time, memory.

    python -m bench.training_attention --sam-size 448

A window layer and a global layer of the teacher, random weights, bfloat16 autocast on a GPU, float32 on the CPU. Forms:
the relative positions folded into query and key (`training.networks.attention`), and `flex_attention` under
torch.compile, whose score function adds them. torch has no backward pass of `flex_attention` on the CPU.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention
from transformers.models.sam.modeling_sam import SamVisionAttention, SamVisionLayer

from training.networks.attention import relative_table, run_layer
from training.networks.sam import SamEncoder
from training.presets import preset

Form = Callable[[SamVisionLayer, Tensor], Tensor]
RUNS = 5
"""Rounds, after one that is not counted; in each every form runs once, so that other load falls on all."""


class Flex:
    """`flex_attention` under torch.compile, as a form of `folded_attention`."""

    def __init__(self, compiled: bool = True) -> None:
        self._attend: Any = torch.compile(flex_attention, dynamic=False) if compiled else flex_attention

    def __call__(self, attention: SamVisionAttention, rows: Tensor, side: int) -> Tensor:
        heads, tokens = attention.num_attention_heads, side * side
        width = rows.shape[-1] // heads
        query, key, value = attention.qkv(rows).view(-1, tokens, 3, heads, width).permute(2, 0, 3, 1, 4).unbind(0)
        squares = query.unflatten(2, (side, side))  # (M, heads, row, column, d)
        down_table, across_table = (
            relative_table(positions, side).to(query.dtype) for positions in (attention.rel_pos_h, attention.rel_pos_w)
        )
        down = torch.einsum("mhijd,idk->mhijk", squares, down_table).flatten(2, 3)
        across = torch.einsum("mhijd,jdk->mhijk", squares, across_table).flatten(2, 3)

        def added(score: Tensor, window: Tensor, head: Tensor, to: Tensor, place: Tensor) -> Tensor:
            return score + down[window, head, to, place // side] + across[window, head, to, place % side]

        mixed: Tensor = self._attend(query, key, value, score_mod=added, scale=attention.scale)
        return mixed.transpose(1, 2).reshape(rows.shape)


def forms(compiled: bool = True) -> dict[str, Form]:
    """By name; Hugging Face's own first, which the others are compared with."""
    flex = Flex(compiled)
    return {
        "Hugging Face": lambda layer, hidden: layer(hidden),
        "folded into query and key": run_layer,
        "flex_attention": lambda layer, hidden: run_layer(layer, hidden, flex),
    }


def difference(form: Form, layer: SamVisionLayer, hidden: Tensor) -> float:
    """Largest difference from Hugging Face's output, relative to that's largest value."""
    with torch.no_grad():
        expected, output = layer(hidden), form(layer, hidden)
    return float((output - expected).abs().max() / expected.abs().max())


def with_positions(encoder: SamEncoder) -> SamEncoder:
    """The encoder with relative positions, which a new one has at zero."""
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "rel_pos" in name:
                parameter.normal_(std=0.1)
    return encoder


def rows(device: torch.device, sam_size: int, batch: int, runs: int = RUNS) -> Iterator[tuple[str, str]]:
    """(layer, form and pass; time and share of Hugging Face's), as they are measured."""
    shape = preset("teacher", sam_size_px=sam_size).sam
    layers = with_positions(SamEncoder(shape)).to(device).vision.vision_encoder.layers
    grid = sam_size // shape.patch_size_px
    hidden = torch.randn(batch, grid, grid, shape.hidden_size, device=device)
    cuda = device.type == "cuda"
    context = torch.autocast("cuda", torch.bfloat16) if cuda else nullcontext()
    chosen = forms()
    for kind, layer in (("window", layers[0]), ("global", layers[shape.global_layers[0]])):
        for backward in (False, True):
            with context:
                measured = _measured(chosen, layer, hidden, backward, runs)
            what = f"{kind} layer, {batch} x {sam_size} px, {'forward and backward' if backward else 'forward'}"
            yield from ((f"{what}: {name}", figure) for name, figure in measured)


def _measured(
    chosen: dict[str, Form], layer: SamVisionLayer, hidden: Tensor, backward: bool, runs: int
) -> list[tuple[str, str]]:
    """(form, figures) of one pass."""
    if backward and hidden.device.type != "cuda":
        chosen = {name: form for name, form in chosen.items() if name != "flex_attention"}
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    peaks: dict[str, float] = {}
    for _ in range(runs + 1):
        for name, form in chosen.items():
            took, peaks[name] = _run(form, layer, hidden, backward)
            seconds[name].append(took)
    theirs, figures = seconds["Hugging Face"][1:], []
    for name, form in chosen.items():
        ours = seconds[name][1:]
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        text = f"{statistics.median(ours) * 1e3:.1f} ms, {ratio:.2f} x Hugging Face's"
        if not math.isnan(peaks[name]):
            text += f", peak {peaks[name]:.0f} MiB"
        if not backward:
            text += f", largest difference {difference(form, layer, hidden):.1e}"
        figures.append((name, text))
    return figures


def _run(form: Form, layer: SamVisionLayer, hidden: Tensor, backward: bool) -> tuple[float, float]:
    """Seconds and, on a GPU, the most memory meanwhile, MiB."""
    cuda = hidden.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    start = time.perf_counter()
    with torch.set_grad_enabled(backward):
        output = form(layer, hidden)
        if backward:
            output.float().square().mean().backward()  # type: ignore[no-untyped-call]
    if cuda:
        torch.cuda.synchronize()
    layer.zero_grad()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated() / 2**20 if cuda else math.nan


def main(argv: list[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.training_attention", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sam-size", type=int, default=448, help="side of SAM's input, px")
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args(argv)
    print("| layer, pass: form | |\n|---|---|")
    for what, figure in rows(torch.device(arguments.device), arguments.sam_size, arguments.batch):
        print(f"| {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
