"""`ear-teacher embedding`: give a bundle the aligned embedding, or fit its projection to one's own people."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def main(argv: list[str]) -> int:
    """`attach` or `fit`; both write a bundle and print its ids and figures as JSON."""
    options = _parser().parse_args(argv)
    from bundle.manifest import read_manifest
    from common.progress import show_progress
    from export.crops import load_crops
    from export.embedding import attach_branch
    from training.embedding.adapt import fit_head
    from training.embedding.branch import load_branch, save_branch

    show_progress()
    framing = read_manifest(options.bundle).framing
    branch, facts = load_branch(options.branch)
    if options.action == "fit":
        crops = load_crops(options.data, framing, options.limit, split="train")
        if crops.identities is None:
            return _fail(options.data)
        branch = fit_head(branch, crops.pixels, crops.identities, options.shrinkage)
        facts = {**_learned(facts), "head_pictures": len(crops), "head_people": len(set(crops.identities))}
        if options.save:
            save_branch(branch, options.save, facts)
    comparison = load_crops(options.crops, framing, options.limit)
    manifest = attach_branch(options.bundle, options.out, branch, _learned(facts), comparison, options.force)
    metrics = {name: manifest.training["metrics"].get(name) for name in ("rank1", "eer")}
    print(json.dumps({"bundle_id": manifest.bundle_id, "space_id": manifest.space_id, **metrics}))
    return 0


def _learned(config: dict[str, Any]) -> dict[str, Any]:
    """Without what is the code's and not the data's."""
    return {name: value for name, value in config.items() if name not in ("looks", "reach", "size_px", "dim")}


def _fail(data: Path) -> int:
    from export.errors import NoCrops

    raise NoCrops(f"--data {data}: every picture needs a subject, since the projection learns whom to tell apart")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ear-teacher embedding",
        description="Attach the aligned embedding to a bundle, or fit its projection.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="attach|fit")
    attach = actions.add_parser("attach", help="replace a bundle's embedding by that of a branch file")
    fit = actions.add_parser("fit", help="fit the projection to labelled pictures first; minutes on a CPU")
    for action in (attach, fit):
        action.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder with manifest.json")
        action.add_argument("--branch", type=Path, required=True, help="a branch file, such as demo/embedding.pt")
        action.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
        action.add_argument("--crops", type=Path, required=True, help="pictures of others, to calibrate on")
        action.add_argument("--limit", type=int, default=20000, help="most pictures to read (default %(default)s)")
        action.add_argument("--force", action="store_true", help="replace an existing bundle")
    fit.add_argument("--data", type=Path, required=True, help="pictures with subjects: your own people, or renders")
    fit.add_argument("--shrinkage", type=float, default=0.8, help="within-person scatter (default %(default)s)")
    fit.add_argument("--save", type=Path, metavar="FILE", help="write the fitted branch too")
    return parser
