"""`ear-teacher evaluate`: figures, plots and a report of a checkpoint or bundle on pictures of other people."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.config import CHOICES

if TYPE_CHECKING:
    from training.evaluation.study import Study


SLICE_COLUMNS = ("attribute", "value", "of", "subjects", "queries", "rank1", "eer")
"""What a checkpoint, and so a model card, keeps of each slice."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher evaluate",
        description="Judge a model on pictures of people it was not trained on: results.json, plots, report.html. "
        "A model.ckpt also gets its calibration (similarity -> probability) and its slices, which export carries into "
        "the bundle.",
    )
    parser.add_argument("model", type=Path, help="a checkpoint (model.ckpt) or a bundle's folder")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="val_teacher.npy or its folder, a metadata.csv (its rows with split=val), or a folder of pictures",
    )
    parser.add_argument(
        "--train", type=Path, help="what pixel PCA learns from (default: the training part beside --data)"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/evaluation"), help="(default runs/evaluation)")
    parser.add_argument(
        "--crop", choices=CHOICES["crop"], default="box", help="frame by the box, or whole (default box)"
    )
    parser.add_argument("--no-baselines", action="store_true", help="leave out HOG and pixel PCA")
    parser.add_argument("--samples", type=int, default=200, help="bootstrap resamplings of subjects (default 200)")
    parser.add_argument(
        "--vgg-weights", type=Path, metavar="FILE", help="torchvision's VGG16: adds the perceptual term"
    )
    return parser


def main(argv: list[str]) -> int:
    """Run the verb."""
    arguments = build_parser().parse_args(argv)
    from training.config import LossWeights
    from training.evaluation.model import open_model
    from training.evaluation.plots import draw
    from training.evaluation.report import write_report
    from training.evaluation.study import StudyConfig, study
    from training.weights import load_vgg

    vgg = load_vgg(arguments.vgg_weights) if arguments.vgg_weights else None
    config = StudyConfig(
        data=arguments.data,
        train=arguments.train,
        crop=arguments.crop,
        baselines=not arguments.no_baselines,
        samples=arguments.samples,
        losses=LossWeights() if vgg else LossWeights(perceptual=0.0),
    )
    found = study(open_model(arguments.model), config, vgg, _tell)
    arguments.out.mkdir(parents=True, exist_ok=True)
    plots = draw(found, arguments.out)
    write_report(found.results, plots, arguments.out / "report.html")
    (arguments.out / "results.json").write_text(json.dumps(found.results, indent=1), encoding="utf-8")
    for line in lines(found.results):
        print(line)
    for line in _keep_calibration(arguments.model, found):
        print(line)
    print(f"report: {arguments.out / 'report.html'}")
    return 0


def _tell(what: str, done: int, total: int) -> None:
    if done in (0, total) or done % 500 == 0:
        print(f"{what}: {done}/{total}" if done else f"{what} ...", flush=True)


def lines(results: dict[str, Any]) -> list[str]:
    """What the terminal shows of the results."""
    quality = results["reconstruction"]
    rows = [f"{'':24s}{'rank-1':>8s}{'rank-5':>8s}{'EER':>8s}{'PSNR':>8s}{'SSIM':>8s}"]
    embedding = {
        **results.get("identity", {}).get("subject", {}),
        "psnr_db": quality["psnr_db"],
        "ssim": quality["ssim"],
    }
    for name, row in {"embedding": embedding, **results.get("baselines", {})}.items():
        cells = (("rank1", 3), ("rank5", 3), ("eer", 3), ("psnr_db", 2), ("ssim", 3))
        rows.append(f"{name:24s}" + "".join(f"{row[key]:8.{n}f}" if key in row else f"{'':8s}" for key, n in cells))
    for part in results.get("identity", {}).get("slices", []):
        if part["of"] == "person":
            name = f"{part['attribute']} {part['value']}"
            rows.append(f"{name:24s}{part['rank1']:8.3f}{part['rank5']:8.3f}{part['eer']:8.3f}")
    return rows


def _keep_calibration(path: Path, found: Study) -> list[str]:
    """Write the calibration, figures and slices into a final checkpoint's header."""
    from training.checkpoint import read_checkpoint, read_raw, write_checkpoint

    if path.is_dir() or "identity" not in found.results:
        return []
    if "train_config" in read_raw(path):
        return [f"{path.name} is a training state: its calibration is not kept (evaluate model.ckpt for that)"]
    checkpoint = read_checkpoint(path)
    identity, quality = found.results["identity"], found.results["reconstruction"]
    metrics = {
        **checkpoint.metrics,
        "calibration": identity["calibration"],
        "rank1": identity["subject"]["rank1"],
        "eer": identity["subject"]["eer"],
        "psnr_db": quality["psnr_db"],
        "ssim": quality["ssim"],
        "slices": [{name: row[name] for name in SLICE_COLUMNS} for row in identity["slices"]],
        "judged_on": found.results["data"],
    }
    write_checkpoint(path, replace(checkpoint, metrics=metrics))
    return [f"calibration kept in {path}"]
