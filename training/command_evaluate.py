"""`ear-teacher evaluate`: figures, plots and a report of a checkpoint or bundle on pictures of other people."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.progress import show_progress
from common.provenance import commit, installed
from common.records.layout import ReadOptions
from common.records.reader import LAYOUT_NAMES

if TYPE_CHECKING:
    from training.evaluation.study import Study


SLICE_COLUMNS = ("attribute", "value", "of", "subjects", "queries", "rank1", "eer")
"""What a checkpoint, and so a model card, keeps of each slice."""
_NOT_KEPT = ("refused_pictures",)
"""What a checkpoint does not keep of the judged data: it names files."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher evaluate",
        description="Judge a model on pictures of people it was not trained on: results.json, plots, report.html. "
        "A model.ckpt also gets its calibration (similarity -> probability) and its slices, which export carries into "
        "the bundle.",
    )
    parser.add_argument("model", type=Path, help="a checkpoint (model.ckpt) or a bundle's folder")
    _data_flags(parser.add_argument_group("data"))
    _figure_flags(parser.add_argument_group("figures"))
    return parser


def _data_flags(group: Any) -> None:
    from training.evaluation.choice import SPLIT_CHOICES

    group.add_argument("--data", type=Path, required=True, help="pictures, in any layout of `ear-teacher train`")
    group.add_argument(
        "--split",
        choices=SPLIT_CHOICES,
        help="which part of them (default: val where there is one, else test, else all)",
    )
    group.add_argument("--layout", choices=LAYOUT_NAMES, default="auto", help="how they are kept (default auto)")
    group.add_argument("--subject-pattern", metavar="REGEX", help="subjects, and sides, from file names")
    group.add_argument("--train", type=Path, help="what PCA and BSIF learn from (default: the training part of --data)")
    group.add_argument(
        "--crop", choices=("box", "none"), default="box", help="frame by the box, or whole (default box)"
    )


def _figure_flags(group: Any) -> None:
    group.add_argument("--out", type=Path, default=Path("runs/evaluation"), help="(default runs/evaluation)")
    group.add_argument(
        "--gallery", type=int, default=2, metavar="N", help="pictures of a person in the gallery (default 2)"
    )
    group.add_argument(
        "--slice", action="append", default=[], metavar="COLUMN",
        help="slice figures by this column (again for more; default: every column with few values)",
    )  # fmt: skip
    group.add_argument(
        "--calibrated-on",
        metavar="WORDS",
        help="what the calibration says of the pictures (default: the name of --data)",
    )
    group.add_argument("--no-baselines", action="store_true", help="leave out HOG, LBP, BSIF and pixel PCA")
    group.add_argument("--samples", type=int, default=200, help="bootstrap resamplings of subjects (default 200)")
    group.add_argument("--vgg-weights", type=Path, metavar="FILE", help="torchvision's VGG16: adds the perceptual term")


def main(argv: list[str]) -> int:
    """Run the verb."""
    arguments = build_parser().parse_args(argv)
    from training.config import LossWeights
    from training.evaluation.choice import StudyConfig
    from training.evaluation.model import open_model
    from training.evaluation.plots import draw
    from training.evaluation.report import write_report
    from training.evaluation.study import study
    from training.weights import load_vgg

    show_progress()
    vgg = load_vgg(arguments.vgg_weights) if arguments.vgg_weights else None
    config = StudyConfig(
        data=arguments.data,
        train=arguments.train,
        split=arguments.split,
        slices=tuple(arguments.slice),
        gallery=arguments.gallery,
        options=ReadOptions(arguments.layout, arguments.subject_pattern),
        crop=arguments.crop,
        baselines=not arguments.no_baselines,
        samples=arguments.samples,
        calibrated_on=arguments.calibrated_on,
        losses=LossWeights() if vgg else LossWeights(perceptual=0.0),
    )
    result = study(open_model(arguments.model), config, vgg)
    result.results["run"] = _run_facts(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    plots = draw(result, arguments.out)
    write_report(result.results, plots, arguments.out / "report.html")
    (arguments.out / "results.json").write_text(json.dumps(result.results, indent=1), encoding="utf-8")
    for line in [*lines(result.results), *_keep_calibration(arguments.model, result)]:
        print(line)
    print(f"report: {arguments.out / 'report.html'}")
    return 0


def _run_facts(argv: Sequence[str]) -> dict[str, str]:
    """When, how and by which version the figures were made."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["ear-teacher", "evaluate", *argv]),
        "version": installed(["ear-teacher"]).get("ear-teacher", "not installed"),
        "commit": commit(),
    }


def lines(results: dict[str, Any]) -> list[str]:
    """What the terminal shows of the results; first of all, whether the people were trained on."""
    quality = results["reconstruction"]
    rows = [results["data"]["trained_on"], f"{'':24s}{'rank-1':>8s}{'rank-5':>8s}{'EER':>8s}{'PSNR':>8s}{'SSIM':>8s}"]
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
    for name, row in results["protocols"].get("leave_one_out", {}).items():
        rows.append(f"{name + ', leave one out':24s}{row['rank1']:8.3f}{row['rank5']:8.3f}")
    if results["data"]["refused"]:
        first = results["data"]["refused_pictures"][0]
        rows.append(f"{results['data']['refused']} pictures could not be used, the first: {first}")
    return rows


def _keep_calibration(path: Path, judged: Study) -> list[str]:
    """Write the calibration, figures and slices into a final checkpoint's header, if they are of other people."""
    from training.checkpoint import read_checkpoint, read_raw, write_checkpoint

    identity, data = judged.results.get("identity"), judged.results["data"]
    if path.is_dir() or identity is None:
        return []
    if not data["held_out"]:
        return [f"no calibration is kept in {path.name}: {data['trained_on']}"]
    if "train_config" in read_raw(path):
        return [f"{path.name} is a training state: its calibration is not kept (evaluate model.ckpt for that)"]
    checkpoint, quality = read_checkpoint(path), judged.results["reconstruction"]
    metrics = {
        **checkpoint.metrics,
        "calibration": identity["calibration"],
        "calibrated_on": {name: data[name] for name in ("name", "pictures", "subjects", "trained_on")},
        "rank1": identity["subject"]["rank1"],
        "eer": identity["subject"]["eer"],
        "psnr_db": quality["psnr_db"],
        "ssim": quality["ssim"],
        "slices": [{name: row[name] for name in SLICE_COLUMNS} for row in identity["slices"]],
        "judged_on": {name: value for name, value in data.items() if name not in _NOT_KEPT},
    }
    write_checkpoint(path, replace(checkpoint, metrics=metrics))
    return [f"calibration kept in {path}"]
