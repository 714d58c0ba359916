"""An evaluation of a detector as files: `detector.json` and the CED curves in `ced.png`; and as a table."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.records.record import EarRecord
from training.detector.checkpoint import read_detector, write_detector
from training.detector.detector import EarDetector
from training.detector.evaluation import (
    CED_AT,
    PhotoResult,
    TorchFinder,
    by_size,
    ced_curve,
    detect_all,
    detect_free,
    figures,
    operating_threshold,
)
from training.detector.scenes import is_wide
from training.detector.sources import load_free, load_sources
from training.detector.trainer import spread

log = logging.getLogger(__name__)

COLUMNS = {
    "ears": "ears", "found": "found", "mean_iou": "IoU", "ap_50": "AP50", "map": "mAP", "nme_box": "NME (box)",
    "nme_box_median": "median", "nme_size": "NME (size)", "failures": "failed", "side_accuracy": "side",
}  # fmt: skip


def evaluate_checkpoint(
    checkpoint: Path,
    data: Sequence[Path],
    out: Path,
    limit: int | None,
    batch: int,
    negatives: Sequence[Path] = (),
) -> dict[str, Any]:
    """Judge a detector on the validation rows of each data set, on the ear-free parts of their pictures, and on those
    of `negatives`, which show no ear.

    Returns:
        What `detector.json` holds: the operating threshold, and for each set its figures, by size too, and its CED.
        The checkpoint remembers the threshold and the chief figures, and export carries them into the bundle.
    """
    detector = EarDetector.load_from_checkpoint(checkpoint)
    finder = TorchFinder(detector)
    sets: dict[str, tuple[list[PhotoResult], list[EarRecord]]] = {}
    free: list[PhotoResult] = []
    for path in data:
        val = load_sources([path], detector.config.num_landmarks).val
        records = val if limit is None else spread(val, limit)
        log.info("%s: %d photos", path.name, len(records))
        sets[path.name] = (detect_all(finder, records, batch), records)
        free += detect_free(finder, [record for record in records if is_wide(record)], batch=batch)
    nothing = load_free(negatives)[1]
    free += detect_free(finder, nothing if limit is None else spread(nothing, limit), batch=batch)
    threshold = operating_threshold([photo for photos, _ in sets.values() for photo in photos] + free)
    report: dict[str, Any] = {"threshold": threshold, "sets": {}, "ced_at": CED_AT.tolist()}
    for name, (photos, records) in sets.items():
        visible = [record.visible for record in records]
        report["sets"][name] = {
            **figures(photos, threshold, visible).to_dict(),
            "by_ear_height": {size: result.to_dict() for size, result in by_size(photos, threshold).items()},
            "ced": ced_curve(photos, threshold).tolist(),
        }
    everything = [photo for photos, _ in sets.values() for photo in photos] + free
    report["with ear-free pictures"] = figures(everything, threshold).to_dict()
    report["ear-free pictures"] = len(free)
    write(report, out)
    _remember(checkpoint, report)
    log.info("report: %s, %s", out / "detector.json", out / "ced.png")
    return report


def _remember(checkpoint: Path, report: dict[str, Any]) -> None:
    saved = read_detector(checkpoint)
    chief = {name: {key: result[key] for key in COLUMNS} for name, result in report["sets"].items()}
    judged = {"threshold": report["threshold"], "evaluation": chief}
    write_detector(checkpoint, replace(saved, metrics={**saved.metrics, **judged}))


def write(report: dict[str, Any], out: Path) -> None:
    """Write both files."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "detector.json").write_text(json.dumps(report, indent=1) + "\n")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, result in report["sets"].items():
        axes.plot([100 * at for at in report["ced_at"]], result["ced"], label=name)
    axes.set_xlabel("landmark error, % of the box diagonal")
    axes.set_ylabel("share of ears")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(out / "ced.png", dpi=120)


def table(report: dict[str, Any]) -> str:
    """Markdown: a row for each set, and the share of false alarms."""
    lines = ["| set | " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * (len(COLUMNS) + 1)]
    for name, result in report["sets"].items():
        lines.append(f"| {name} | " + " | ".join(_cell(result[key]) for key in COLUMNS) + " |")
        for size, part in result["by_ear_height"].items():
            lines.append(f"| {name}, {size} | " + " | ".join(_cell(part[key]) for key in COLUMNS) + " |")
    alarms = report["with ear-free pictures"]["false_alarms"]
    lines.append(f"\nfalse alarms on {report['ear-free pictures']} ear-free pictures: {_cell(alarms)}; "
                 f"threshold {report['threshold']:.3f}")  # fmt: skip
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
