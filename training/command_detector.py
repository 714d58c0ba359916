"""`ear-teacher detector train|evaluate`: a teacher's encoder learns to find ears and landmarks in photos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common.flags import add_flags
from common.progress import show_progress
from training.detector.config import DetectorRun
from training.errors import ConfigError


def main(argv: list[str]) -> int:
    """Run one of the actions."""
    flags = vars(parser().parse_args(argv))
    action = flags.pop("action")
    show_progress()
    result: int = {"train": _train, "evaluate": _evaluate}[action](flags)
    return result


def parser() -> argparse.ArgumentParser:
    """The flags of all actions."""
    whole = argparse.ArgumentParser(
        prog="ear-teacher detector",
        description="Let a trained encoder learn to find ears and their landmarks in photos.",
    )
    actions = whole.add_subparsers(dest="action", required=True, metavar="train|evaluate")
    _train_flags(actions.add_parser("train", help="pictures with boxes and, where known, landmarks -> detector",
                                    argument_default=argparse.SUPPRESS))  # fmt: skip
    _evaluate_flags(actions.add_parser("evaluate", help="boxes, landmarks, sides and false alarms on held-out photos"))
    return whole


def _train_flags(parser: argparse.ArgumentParser) -> None:
    groups: dict[str, Any] = {name: parser.add_argument_group(name) for name in ("data", "model", "run", "machine")}
    groups["start"] = start = groups["model"].add_mutually_exclusive_group(required=True)
    add_flags(parser, DetectorRun, groups)
    start.add_argument("--random-init", action="store_true", help="start from random weights")


def _evaluate_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="detector.ckpt")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="data sets; their validation rows are "
                        "used, and each gets figures of its own")  # fmt: skip
    parser.add_argument("--negatives", type=Path, nargs="+", default=(), help="sets of pictures without any ear; their "
                        "validation rows are used")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder for detector.json and ced.png")
    parser.add_argument("--limit", type=int, help="most photos of each data set (default: all)")
    parser.add_argument("--batch-size", type=int, default=4, help="photos at once (default %(default)s)")


def _train(flags: dict[str, Any]) -> int:
    flags.pop("random_init", None)
    if "data" not in flags:
        raise ConfigError("--data is missing: give tables with ear boxes, crops and whole pictures alike")
    run = DetectorRun(**{**flags, "data": tuple(flags["data"]), "negatives": tuple(flags.get("negatives", ()))})
    from training.detector.trainer import fit_detector

    fit_detector(run)
    return 0


def _evaluate(flags: dict[str, Any]) -> int:
    from training.detector.report import evaluate_checkpoint, table

    paths = (flags["checkpoint"], flags["data"], flags["out"])
    report = evaluate_checkpoint(*paths, flags["limit"], flags["batch_size"], flags["negatives"])
    print(table(report))
    return 0
