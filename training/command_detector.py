<<<<<<< HEAD
"""`ear-teacher detector train|evaluate|export`: a teacher's encoder learns to find ears and landmarks in photos."""
=======
"""`ear-teacher detector train|evaluate`: a teacher's eyes learn to find ears and their landmarks in photos."""
>>>>>>> b3e47d8 (Name export's parts as the field does, 34 files for 49: parity judge, unstable modules, execution slots, progress in the log; int8, which auto never took, goes)

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
<<<<<<< HEAD
    flags = vars(parser().parse_args(argv))
    action = flags.pop("action")
    show_progress()
    result: int = {"train": _train, "evaluate": _evaluate, "export": _export}[action](flags)
=======
    given = vars(parser().parse_args(argv))
    action = given.pop("action")
    result: int = {"train": _train, "evaluate": _evaluate}[action](given)
>>>>>>> b3e47d8 (Name export's parts as the field does, 34 files for 49: parity judge, unstable modules, execution slots, progress in the log; int8, which auto never took, goes)
    return result


def parser() -> argparse.ArgumentParser:
    """The flags of all actions."""
    whole = argparse.ArgumentParser(
        prog="ear-teacher detector",
        description="Let a trained encoder learn to find ears and their landmarks in photos.",
    )
<<<<<<< HEAD
    actions = whole.add_subparsers(dest="action", required=True, metavar="train|evaluate|export")
    _train_flags(actions.add_parser("train", help="pictures with boxes and, where known, landmarks -> detector",
=======
    actions = whole.add_subparsers(dest="action", required=True, metavar="train|evaluate")
    _train_flags(actions.add_parser("train", help="teacher + pictures with boxes and landmarks -> detector.ckpt",
>>>>>>> b3e47d8 (Name export's parts as the field does, 34 files for 49: parity judge, unstable modules, execution slots, progress in the log; int8, which auto never took, goes)
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
    parser.add_argument("--out", type=Path, required=True, help="folder for detector.json and ced.png")
    parser.add_argument("--limit", type=int, help="most photos of each data set (default: all)")
    parser.add_argument("--batch-size", type=int, default=4, help="photos at once (default %(default)s)")


def _train(flags: dict[str, Any]) -> int:
    flags.pop("random_init", None)
    if "data" not in flags:
        raise ConfigError("--data is missing: give tables with ear boxes, crops and whole pictures alike")
    run = DetectorRun(**{**flags, "data": tuple(flags["data"])})
    from training.detector.trainer import fit_detector

    fit_detector(run)
    return 0


def _evaluate(flags: dict[str, Any]) -> int:
    from training.detector.report import evaluate_checkpoint, table

    report = evaluate_checkpoint(flags["checkpoint"], flags["data"], flags["out"], flags["limit"], flags["batch_size"])
    print(table(report))
    return 0
<<<<<<< HEAD


def _export(flags: dict[str, Any]) -> int:
    from importlib import import_module

    # Export builds on training, never the other way round; the verb only opens its door.
    add = import_module("export.landmarks").add_landmarks
    names = ("checkpoint", "bundle", "data", "photos", "threshold", "half_weights")
    manifest = add(*(flags[name] for name in names), lambda line: print(line, flush=True))
    print(json.dumps({"bundle_id": manifest.bundle_id, "space_id": manifest.space_id}))
    return 0
=======
>>>>>>> b3e47d8 (Name export's parts as the field does, 34 files for 49: parity judge, unstable modules, execution slots, progress in the log; int8, which auto never took, goes)
