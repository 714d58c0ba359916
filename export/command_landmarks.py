"""`ear-teacher detector export CHECKPOINT --bundle FOLDER`: add landmarks.onnx to a bundle, behind a parity check."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main(argv: list[str]) -> int:
    """Add or replace the landmark graph of a bundle; prints the bundle's ids as JSON."""
    options = _parser().parse_args(argv)
    from common.progress import show_progress
    from export.landmarks import add_landmarks

    show_progress()
    manifest = add_landmarks(
        options.checkpoint, options.bundle, options.data, options.photos, options.threshold, options.half_weights
    )
    print(json.dumps({"bundle_id": manifest.bundle_id, "space_id": manifest.space_id}))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ear-teacher detector export", description="Add landmarks.onnx to a bundle, behind a parity check."
    )
    parser.add_argument("checkpoint", type=Path, help="detector.ckpt")
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle; it gets a new bundle_id")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="photos to compare on")
    parser.add_argument("--photos", type=int, default=16, help="how many (default %(default)s)")
    parser.add_argument("--half-weights", action="store_true", help="keep weights as float16 on disk: half the size")
    parser.add_argument("--threshold", type=float, help="least score of an ear (default: the evaluation's, else 0.35)")
    return parser
