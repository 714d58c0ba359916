"""`ear-teacher export CHECKPOINT --out FOLDER --crops DATA`: flags in, a bundle and its parity table out."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.progress import show_progress
from export.config import PRECISIONS, ExportConfig
from export.parity.judge import ParityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bundle.manifest import Manifest

LOG_WIDTH = 160
REFUSED = 1
"""Exit status where a variant was refused; the bundle, if one was written, does without it."""


def main(argv: list[str]) -> int:
    """Export a checkpoint. 0: everything agrees with torch; 1: something was refused."""
    options = _parser().parse_args(argv)
    config = ExportConfig(
        precisions=tuple(options.precision.split(",")),
        opset=options.opset,
        portable=options.portable,
        parity_crops=options.parity_crops,
        half_weights=options.half_weights,
        max_batch=options.max_batch,
        keep_float32=tuple(filter(None, options.keep_float32.split(","))),
        calibrated_on=options.calibrated_on or options.crops.resolve().name,
        force=options.force,
    )
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = LOG_WIDTH  # a log file has no width of its own, and the table needs one
    return _export(options, config, console)


def _export(options: argparse.Namespace, config: ExportConfig, console: Console) -> int:
    from export.crops import load_crops
    from export.write import export_bundle
    from training.checkpoint import read_checkpoint
    from training.data.prepare import framing
    from training.data.trained_on import TrainedOn

    show_progress()
    start = time.perf_counter()
    saved = read_checkpoint(options.checkpoint)
    crops = load_crops(
        options.crops,
        framing(saved.config.image_size_px),
        options.crops_limit,
        options.crop == "box",
        TrainedOn.from_dict(saved.trained_on),
    )
    console.print(crops.exposure, highlight=False)
    if not crops.held_out and not (saved.metrics.get("calibration") and saved.metrics.get("calibrated_on")):
        console.print("no calibration is made of these pictures")
    for problem in crops.skipped:
        console.print(f"[yellow]left out[/] {problem}")
    try:
        manifest = export_bundle(
            options.checkpoint,
            options.out,
            crops.pixels,
            crops.identities,
            replace(config, held_out=crops.exposure if crops.held_out else ""),
        )
    except ParityError as error:
        _show(console, [row.to_dict() for row in error.rows])
        raise
    _show(console, manifest.parity["rows"])
    return _conclude(console, options.out, manifest, time.perf_counter() - start)


def _show(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    from export.parity.table import rich_tables

    for table in rich_tables(rows):
        console.print(table)


def _conclude(console: Console, out: Path, manifest: Manifest, seconds: float) -> int:
    refused, elsewhere = manifest.parity["refused"], manifest.parity["refused_on"]
    size_mb = sum(entry.size_bytes for entry in manifest.files.values()) / 1e6
    console.print(
        f"{out}: {len(manifest.variants)} variants, {size_mb:.0f} MB, space {manifest.space_id}, "
        f"{manifest.parity['crops']} crops compared, {seconds:.0f} s"
    )
    if refused:
        console.print(f"[red]refused by the parity judge and not in the bundle: {', '.join(refused)}[/]")
    if elsewhere:
        console.print(f"[red]refused by the parity judge and not used there: {', '.join(elsewhere)}[/]")
    return REFUSED if refused or elsewhere else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ear-teacher export", description="Checkpoint -> bundle, behind a parity check."
    )
    parser.add_argument("checkpoint", type=Path, help="a .ckpt written by ear-teacher train")
    parser.add_argument("--out", type=Path, required=True, help="the bundle's folder; must not exist (see --force)")
    parser.add_argument("--force", action="store_true", help="replace an existing bundle")
    data = parser.add_argument_group("pictures to judge on")
    data.add_argument(
        "--crops", type=Path, required=True, help="teacher file, metadata.csv or folder; validation rows are preferred"
    )
    data.add_argument("--crop", choices=("box", "none"), default="box", help="frame by the ear's box (default) or not")
    data.add_argument(
        "--calibrated-on",
        metavar="WORDS",
        help="what a calibration made of these says of them (default: the name of --crops)",
    )
    data.add_argument("--crops-limit", type=int, default=2048, help="most pictures to read (default %(default)s)")
    data.add_argument(
        "--parity-crops",
        type=int,
        default=None,
        help="crops to compare on (default: what 20 s of torch allow, 3 to 256)",
    )
    data.add_argument("--max-batch", type=int, default=32, help="largest batch compared (default %(default)s)")
    graph = parser.add_argument_group("graphs")
    graph.add_argument(
        "--precision",
        default=",".join(PRECISIONS),
        help=f"variants of {','.join(PRECISIONS)}, comma-separated (default %(default)s); fp32 is a must",
    )
    graph.add_argument(
        "--keep-float32",
        default="",
        metavar="NAMES",
        help="modules, comma-separated, that stay float32 in fp16 graphs (a refusal names those that should)",
    )
    graph.add_argument("--opset", type=int, default=ExportConfig.opset, help="ONNX operator set (default %(default)s)")
    graph.add_argument(
        "--portable",
        action="store_true",
        help="standard ONNX operators only, in fp32 files too (default: ONNX Runtime's fused attention, faster on CPU)",
    )
    graph.add_argument(
        "--half-weights",
        action="store_true",
        help="keep the weights of fp32 files as float16: half the size, the arithmetic stays float32",
    )
    return parser
