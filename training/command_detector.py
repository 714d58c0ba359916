"""`ear-teacher detector train|evaluate|export`: a teacher's eyes learn to find ears and their landmarks in photos."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from training.detector.config import DetectorRun
from training.presets import PRESETS


def main(argv: list[str]) -> int:
    """Run one of the actions."""
    given = vars(parser().parse_args(argv))
    action = given.pop("action")
    result: int = {"train": _train, "evaluate": _evaluate, "export": _export}[action](given)
    return result


def parser() -> argparse.ArgumentParser:
    """The flags of all actions."""
    whole = argparse.ArgumentParser(
        prog="ear-teacher detector",
        description="Let a trained encoder learn to find ears and their landmarks in photos.",
    )
    actions = whole.add_subparsers(dest="action", required=True, metavar="train|evaluate|export")
    _train_flags(actions.add_parser("train", help="teacher + pictures with boxes and landmarks -> detector.ckpt",
                                    argument_default=argparse.SUPPRESS))  # fmt: skip
    _evaluate_flags(actions.add_parser("evaluate", help="boxes, landmarks, sides and false alarms on held-out photos"))
    export = actions.add_parser("export", help="add landmarks.onnx to a bundle, behind a parity gate")
    export.add_argument("checkpoint", type=Path, help="detector.ckpt")
    export.add_argument("--bundle", type=Path, required=True, help="folder of the bundle; it gets a new bundle_id")
    export.add_argument("--data", type=Path, nargs="+", required=True, help="photos to compare on")
    export.add_argument("--photos", type=int, default=16, help="how many (default %(default)s)")
    export.add_argument("--half-weights", action="store_true", help="keep weights as float16 on disk: half the size")
    export.add_argument("--threshold", type=float, help="least score of an ear (default: the evaluation's, else 0.35)")
    return whole


def _train_flags(one: Any) -> None:
    data = one.add_argument_group("data")
    data.add_argument("--data", type=Path, nargs="+", required=True, help="tables, teacher files or folders with ear "
                      "boxes and landmarks: framed ears and whole heads together")  # fmt: skip
    data.add_argument("--out", type=Path, help="folder of the run (default runs/detector)")
    data.add_argument("--labels", type=float, metavar="SHARE", help="use this share of the training subjects (1)")
    data.add_argument("--val-fraction", type=float, help="share of subjects held out where data has no split (0.1)")
    data.add_argument("--num-workers", type=int, help="processes that compose pictures (default 0)")
    model = one.add_argument_group("model")
    start = model.add_mutually_exclusive_group(required=True)
    start.add_argument("--teacher", type=Path, metavar="CKPT", help="a model.ckpt whose encoder to start from")
    start.add_argument("--random-init", action="store_true", help="start from random weights")
    model.add_argument("--preset", choices=sorted(PRESETS), help="shape of a random encoder (default tiny)")
    model.add_argument("--freeze-encoder", action="store_true", help="let only the heads learn")
    run = one.add_argument_group("run")
    run.add_argument("--epochs", type=int, help="passes over the framed ears (default 20)")
    run.add_argument("--max-steps", type=int, help="stop after so many steps instead")
    run.add_argument("--max-minutes", type=float, help="stop after so many minutes; the schedule ends with it")
    run.add_argument("--crops-per-step", type=int, help="framed ears per step (default 32)")
    run.add_argument("--scenes", type=int, help="whole pictures per step (default 4)")
    run.add_argument("--lr", type=float, help="peak learning rate of AdamW (default 1e-3)")
    run.add_argument("--muon-lr", type=float, help="peak learning rate of Muon, for matrices (default 0.02)")
    run.add_argument("--encoder-rate", type=float, help="a teacher's encoder learns at this share of them (0.3)")
    run.add_argument("--augment", type=float, help="strength of the augmentations, 0 for none (default 1)")
    run.add_argument("--resume", type=Path, metavar="CKPT", help="checkpoints/last.ckpt of an interrupted run, "
                     "whose other flags are given again")  # fmt: skip
    run.add_argument("--seed", type=int, help="of weights, order and augmentation (default 0)")
    machine = one.add_argument_group("machine")
    machine.add_argument("--precision", choices=("auto", "16-mixed", "bf16-mixed", "32"), help="(default auto)")
    machine.add_argument("--accelerator", choices=("auto", "cpu", "gpu"), help="(default auto)")
    machine.add_argument("--devices", type=int, help="GPUs, or CPU processes (default 1)")


def _evaluate_flags(one: Any) -> None:
    one.add_argument("checkpoint", type=Path, help="detector.ckpt")
    one.add_argument("--data", type=Path, nargs="+", required=True, help="data sets; their validation rows are used, "
                     "and each gets figures of its own")  # fmt: skip
    one.add_argument("--out", type=Path, required=True, help="folder for detector.json and ced.png")
    one.add_argument("--limit", type=int, help="most photos of each data set (default: all)")
    one.add_argument("--batch-size", type=int, default=4, help="photos at once (default %(default)s)")


def _train(given: dict[str, Any]) -> int:
    given.pop("random_init", None)
    run = DetectorRun(**{"out": Path("runs/detector"), **given, "data": tuple(given["data"])})
    from training.detector.trainer import fit_detector

    fit_detector(run, lambda line: print(line, flush=True))
    return 0


def _evaluate(given: dict[str, Any]) -> int:
    from training.detector.report import evaluate_checkpoint, table

    report = evaluate_checkpoint(
        given["checkpoint"], given["data"], given["out"], given["limit"], given["batch_size"],
        lambda line: print(line, flush=True),
    )  # fmt: skip
    print(table(report))
    return 0


def _export(given: dict[str, Any]) -> int:
    from importlib import import_module

    # Export builds on training, never the other way round; the verb only opens its door.
    add = import_module("export.landmarks").add_landmarks
    names = ("checkpoint", "bundle", "data", "photos", "threshold", "half_weights")
    manifest = add(*(given[name] for name in names), lambda line: print(line, flush=True))
    print(json.dumps({"bundle_id": manifest.bundle_id, "space_id": manifest.space_id}))
    return 0
