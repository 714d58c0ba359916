"""`ear-teacher embedding`: learn an aligned embedding from renders, attach it to a bundle, fit it to other pictures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_CODES_OWN = ("looks", "reach", "size_px", "dim")
"""What a branch file says of the code, not of the data it was learned on."""
_NOT_YET = "no_projection"
"""Fact of a branch file whose projection is still random."""


def main(argv: list[str]) -> int:
    """`aligner` and `project` write a branch file, `attach` and `fit` a bundle; all print their figures as JSON."""
    options = _parser().parse_args(argv)
    from common.progress import show_progress

    show_progress()
    action = {"aligner": _aligner, "project": _project}.get(options.action, _bundle)
    print(json.dumps(action(options)))
    return 0


def _aligner(options: argparse.Namespace) -> dict[str, Any]:
    from training.embedding.aligner import AlignerConfig, fit_aligner
    from training.embedding.branch import save_branch
    from training.embedding.rendered import Rendered

    config = AlignerConfig(options.steps, options.minutes, rounds=options.rounds, seed=options.seed)
    rendered = Rendered.read(options.data, options.limit)
    branch = fit_aligner(rendered, config, options.dim)
    facts = {"aligner_pictures": len(rendered.people), "aligner_people": len(set(rendered.people)), _NOT_YET: True}
    save_branch(branch, options.out, facts)
    return facts


def _project(options: argparse.Namespace) -> dict[str, Any]:
    from export.errors import NoCrops
    from training.embedding.adapt import fit_head
    from training.embedding.branch import load_branch, save_branch
    from training.embedding.rendered import Rendered

    branch, config = load_branch(options.branch)
    rendered = Rendered.read(options.data, options.limit)
    if not all(rendered.people):
        raise NoCrops("DATA: every picture needs a subject, since the projection learns whom to tell apart")
    crops = rendered.crops(options.rounds, options.seed)
    branch = fit_head(branch, crops.rgb(), crops.people, options.shrinkage)
    facts = {**_learned(config), "crops": len(crops.people), "people": len(set(crops.people))}
    save_branch(branch, options.out, facts)
    return facts


def _bundle(options: argparse.Namespace) -> dict[str, Any]:
    """`attach` and `fit`."""
    from bundle.manifest import read_manifest
    from export.crops import load_crops
    from export.embedding import attach_branch
    from export.errors import GraphError, NoCrops
    from training.embedding.adapt import fit_head
    from training.embedding.branch import load_branch, save_branch

    framing = read_manifest(options.bundle).framing
    branch, config = load_branch(options.branch)
    facts = _learned(config)
    if options.action == "fit":
        crops = load_crops(options.data, framing, options.limit, split="train")
        if crops.identities is None:
            raise NoCrops(f"--data {options.data}: every picture needs a subject, since the projection learns whom to "
                          "tell apart")  # fmt: skip
        branch = fit_head(branch, crops.pixels, crops.identities, options.shrinkage)
        facts |= {"head_pictures": len(crops), "head_people": len(set(crops.identities))}
        if options.save:
            save_branch(branch, options.save, facts)
    elif config.get(_NOT_YET):
        raise GraphError(f"--branch {options.branch} has no projection yet: run `ear-teacher embedding project` first")
    comparison = load_crops(options.crops, framing, options.limit)
    shown = json.loads(options.photographs.read_text(encoding="utf-8")) if options.photographs else []
    manifest = attach_branch(options.bundle, options.out, branch, facts, comparison, shown, options.force)
    metrics = {name: manifest.training["metrics"].get(name) for name in ("rank1", "eer")}
    return {"bundle_id": manifest.bundle_id, "space_id": manifest.space_id, **metrics}


def _learned(config: dict[str, Any]) -> dict[str, Any]:
    """What the branch was learned on."""
    return {name: value for name, value in config.items() if name not in (*_CODES_OWN, _NOT_YET)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ear-teacher embedding",
        description="Learn the aligned embedding from rendered ears, attach it to a bundle, or fit its projection.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="aligner|project|attach|fit")
    aligner = actions.add_parser("aligner", help="train the landmark networks from renders with 17 landmarks")
    project = actions.add_parser("project", help="learn the projection from photo-like crops of renders")
    attach = actions.add_parser("attach", help="replace a bundle's embedding by that of a branch file")
    fit = actions.add_parser("fit", help="fit the projection to labelled pictures, then attach; minutes on a CPU")
    for action, rounds, seed in ((aligner, 4, 1), (project, 2, 2)):
        action.add_argument("data", type=Path, nargs="+", metavar="DATA", help="sets of `ear-teacher synth`")
        action.add_argument("--out", type=Path, required=True, metavar="FILE", help="the branch file to write")
        action.add_argument("--rounds", type=int, default=rounds, help="crops of each render (default %(default)s)")
        action.add_argument("--limit", type=int, help="most pictures of each DATA")
        action.add_argument("--seed", type=int, default=seed, help="(default %(default)s)")
    aligner.add_argument("--steps", type=int, default=4000, help="of 64 crops (default %(default)s)")
    aligner.add_argument("--minutes", type=float, help="end earlier, after so many minutes of training")
    aligner.add_argument("--dim", type=int, default=1024, help="length of the embedding (default %(default)s)")
    project.add_argument("--branch", type=Path, required=True, help="what `aligner` wrote")
    project.add_argument("--shrinkage", type=float, default=0.3, help="within-person scatter (default %(default)s)")
    for action in (attach, fit):
        action.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder with manifest.json")
        action.add_argument("--branch", type=Path, required=True, help="a branch file, such as demo/embedding.pt")
        action.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
        action.add_argument("--crops", type=Path, required=True, help="pictures of others, to calibrate on")
        action.add_argument("--photographs", type=Path, help="figures for the model card: bench.real_ears --json")
        action.add_argument("--limit", type=int, default=20000, help="most pictures to read (default %(default)s)")
        action.add_argument("--force", action="store_true", help="replace an existing bundle")
    fit.add_argument("--data", type=Path, required=True, help="pictures with subjects: your own people, or renders")
    fit.add_argument("--shrinkage", type=float, default=0.8, help="within-person scatter (default %(default)s)")
    fit.add_argument("--save", type=Path, metavar="FILE", help="write the fitted branch too")
    return parser
