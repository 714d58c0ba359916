"""`ear-teacher bench BUNDLE`: how fast a bundle is here, for each runtime, precision and batch there is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.config import batches
from export.errors import OptionError

if TYPE_CHECKING:
    from rich.console import Console

    from bundle.manifest import Manifest
    from export.bench.jobs import Job

REGRESSED = 1
"""Exit status where `--against` shows something worse than the margin allows."""
LOG_WIDTH = 180
PLOTS = (".png", ".html")


def main(argv: list[str]) -> int:
    """Measure, show, write, compare. 1: something is worse than in `--against` by more than the margin."""
    options = _parser().parse_args(argv)
    old = _check(options)
    from rich.console import Console
    from rich.markup import escape

    from bundle.manifest import read_manifest, verify_files
    from common.progress import show_progress
    from export.bench import jobs, report

    console = Console()
    if not console.is_terminal:
        console.width = LOG_WIDTH
    manifest = read_manifest(options.bundle)
    verify_files(options.bundle, manifest)
    show_progress()
    figures = jobs.report(manifest, *jobs.measure(_jobs(options, manifest)))
    console.print(escape(report.setting(figures)))
    for table in report.rich_tables(figures):
        console.print(table)
    for note in figures["notes"]:
        console.print(f"[yellow]{escape(note)}[/]")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(report.markdown(figures), encoding="utf-8")
    if options.plot:
        report.write_plot(figures, options.plot)
    return 0 if old is None else _against(old, options, figures, console)


def _check(options: argparse.Namespace) -> Any:
    """The report of `--against`, if any. Mistakes are reported before minutes of measuring."""
    if options.plot and options.plot.suffix not in PLOTS:
        raise OptionError(f"--plot {options.plot}: give a name that ends in {' or '.join(PLOTS)}")
    for flag in ("json", "markdown", "plot"):
        path = getattr(options, flag)
        if path and not path.parent.is_dir():
            raise OptionError(f"--{flag} {path}: there is no folder {path.parent}")
    if options.pictures and not (options.pictures.is_dir() and any(options.pictures.iterdir())):
        raise OptionError(f"--pictures {options.pictures}: give a folder of picture files")
    if options.margin < 0 or options.seconds <= 0 or options.threads < 0:
        raise OptionError("--margin and --threads must not be negative, and --seconds must be above 0")
    if options.against is None:
        return None
    try:
        old = json.loads(options.against.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"--against {options.against}: cannot be read: {error}") from None
    if not isinstance(old, dict) or not {"hardware", "results"} <= old.keys():
        raise OptionError(f"--against {options.against}: give a file that `ear-teacher bench --json` wrote")
    return old


def _jobs(options: argparse.Namespace, manifest: Manifest) -> list[Job]:
    from bundle.runtimes import candidates
    from export.bench.jobs import Job

    runtimes = candidates() if options.runtime == "auto" else options.runtime.split(",")
    present = [variant.precision for variant in manifest.variants if variant.graph == "encoder"]
    precisions = list(dict.fromkeys(present)) if options.precision == "all" else options.precision.split(",")
    pictures = sorted(str(path.resolve()) for path in options.pictures.iterdir()) if options.pictures else []
    gflop = _gflop(manifest)
    return [
        Job(
            bundle=str(options.bundle.resolve()),
            runtime=runtime,
            precision=precision,
            batches=options.batches,
            threads=options.threads,
            window_s=options.seconds,
            gflop=gflop,
            pictures=tuple(pictures),
        )
        for runtime in runtimes
        for precision in precisions
    ]


def _gflop(manifest: Manifest) -> float | None:
    """None, and no share of the limit, on a machine that serves only."""
    try:
        from export.graph.flops import encoder_gflop
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
        return None
    return encoder_gflop(manifest)


def _against(old: dict[str, Any], options: argparse.Namespace, report: dict[str, Any], console: Console) -> int:
    from export.bench.compare import changes, regressions

    figures = changes(old, report, options.other_hardware)
    worse = regressions(figures, options.margin)
    for change in sorted(figures, key=lambda change: -change.ratio):
        colour = "red" if change in worse else "green" if change.ratio < 1 - options.margin else "white"
        text = f"{change.figure}: {change.before:.4g} -> {change.now:.4g}"
        console.print(f"[{colour}]{change.ratio - 1:+7.1%}[/]  {change.case}, {text}")
    verdict = f"{len(worse)} of {len(figures)} figures are worse by more than {options.margin:.0%}"
    console.print(f"[{'red' if worse else 'green'}]{verdict}[/]")
    return REGRESSED if worse else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ear-teacher bench", description="How fast a bundle is on this machine.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder with manifest.json")
    cases = parser.add_argument_group("cases")
    cases.add_argument("--runtime", default="auto", help="comma-separated, or auto: all that are installed here")
    cases.add_argument("--precision", default="all", help="comma-separated, or all that the bundle has")
    cases.add_argument("--batches", type=batches, default=(1, 8, 32), help="batch sizes (default 1,8,32)")
    cases.add_argument("--threads", type=int, default=0, help="CPU threads; 0: one a physical core")
    cases.add_argument("--seconds", type=float, default=2.0, help="length of a window, seconds (default %(default)s)")
    cases.add_argument("--pictures", type=Path, help="folder of picture files for the end-to-end figures")
    output = parser.add_argument_group("output")
    output.add_argument("--json", type=Path, help="write all figures with the machine's fingerprint")
    output.add_argument("--markdown", type=Path, help="write the table for a page of documentation")
    output.add_argument("--plot", type=Path, help="write a .png or a self-contained .html")
    compare = parser.add_argument_group("comparison")
    compare.add_argument("--against", type=Path, help="a JSON file of an earlier bench; status 1 where this is worse")
    compare.add_argument("--margin", type=float, default=0.10, help="how much worse is too much (default %(default)s)")
    compare.add_argument("--other-hardware", action="store_true", help="compare even with another machine's file")
    return parser
