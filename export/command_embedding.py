"""`ear-teacher embedding`: learn an aligned embedding from renders, attach it to a bundle, fit it to other pictures."""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundle.framing import Framing
    from export.crops import Crops
    from training.data.trained_on import TrainedOn
    from training.embedding.branch import EarBranch, SavedBranch
    from training.embedding.rendered import Rendered

logger = logging.getLogger(__name__)

_NOT_YET = "no_projection"
"""Fact of a branch file whose projection is still random."""


def main(argv: list[str]) -> int:
    """`aligner`, `identity` and `project` write a branch file, `attach` and `fit` a bundle; all print JSON."""
    options = _parser().parse_args(argv)
    from common.progress import show_progress

    show_progress()
    action = {"aligner": _aligner, "identity": _identity, "project": _project}.get(options.action, _bundle)
    print(json.dumps(action(options)))
    return 0


def _aligner(options: argparse.Namespace) -> dict[str, Any]:
    from training.embedding.aligner import AlignerConfig, fit_aligner
    from training.embedding.branch import save_branch
    from training.embedding.rendered import Rendered

    config = AlignerConfig(
        options.steps, options.minutes, rounds=options.rounds, seed=options.seed, learning_rate=options.learning_rate
    )
    start = _saved_branch(options.init_from) if options.init_from else None
    rendered = Rendered.read(options.data, options.limit)
    branch = fit_aligner(rendered, config, options.dim, start and start.branch)
    facts = {"aligner_pictures": len(rendered.people), "aligner_people": len(set(rendered.people)), _NOT_YET: True}
    save_branch(
        branch, options.out, facts, rendered.trained_on.after(start.trained_on) if start else rendered.trained_on
    )
    return facts


def _identity(options: argparse.Namespace) -> dict[str, Any]:
    from training.embedding.branch import save_branch
    from training.embedding.identity import IdentityConfig, fit_identity

    branch, facts, learned_on = _saved_branch(options.branch)
    rendered = _with_people(options)
    config = IdentityConfig(
        options.steps,
        options.minutes,
        rounds=options.rounds,
        views=options.views,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    branch = fit_identity(branch, rendered, config)
    counted = {"identity_crops": config.rounds * len(rendered.people), "identity_people": len(set(rendered.people))}
    facts = {**facts, **counted, _NOT_YET: True}
    save_branch(branch, options.out, facts, rendered.trained_on.after(learned_on))
    return facts


def _with_people(options: argparse.Namespace) -> Rendered:
    from export.errors import NoCrops
    from training.embedding.rendered import Rendered

    rendered = Rendered.read(options.data, options.limit)
    if not all(rendered.people):
        raise NoCrops("DATA: every picture needs a subject, since people are to be told apart")
    return rendered


def _project(options: argparse.Namespace) -> dict[str, Any]:
    from training.embedding.adapt import fit_head
    from training.embedding.branch import load_branch, save_branch

    branch, facts, learned_on = load_branch(options.branch)
    rendered = _with_people(options)
    crops = rendered.crops(options.rounds, options.seed)
    branch = fit_head(branch, crops.rgb(), crops.people, options.shrinkage)
    facts = {**facts, "crops": len(crops.people), "people": len(set(crops.people))}
    facts.pop(_NOT_YET, None)
    save_branch(branch, options.out, facts, rendered.trained_on.after(learned_on))
    return facts


def _bundle(options: argparse.Namespace) -> dict[str, Any]:
    """`attach` and `fit`."""
    from bundle.manifest import read_manifest
    from export.crops import load_crops
    from export.embedding import attach_branch
    from export.errors import GraphError

    framing = read_manifest(options.bundle).framing
    branch, facts, learned_on = _branch(options)
    record = _record(options, learned_on)
    unfinished = facts.pop(_NOT_YET, False)
    if options.action == "fit":
        branch, facts, record, comparison = _fitted(options, framing, branch, facts, record, unfinished)
    elif unfinished:
        raise GraphError(f"--branch {options.branch} has no projection yet: run `ear-teacher embedding project` first")
    else:
        comparison = load_crops(options.crops, framing, options.limit, trained_on=record)
    logger.info("%s", comparison.exposure)
    if not comparison.held_out:
        logger.info("no calibration is made of these pictures")
    named = replace(comparison, name=options.calibrated_on or (options.crops or options.data).resolve().name)
    shown = json.loads(options.photographs.read_text(encoding="utf-8")) if options.photographs else []
    manifest = attach_branch(options.bundle, options.out, branch, facts, named, shown, options.force, record)
    metrics = {name: manifest.training["metrics"].get(name) for name in ("rank1", "eer")}
    return {"bundle_id": manifest.bundle_id, "space_id": manifest.space_id, **metrics}


def _fitted(
    options: argparse.Namespace,
    framing: Framing,
    branch: EarBranch,
    facts: dict[str, Any],
    record: TrainedOn | None,
    unfinished: bool,
) -> tuple[EarBranch, dict[str, Any], TrainedOn, Crops]:
    """The branch with a projection fitted to `--data`, its facts and record, and the crops of other people."""
    from export.crops import frame
    from export.errors import NoCrops
    from training.data.splits import load_splits
    from training.embedding.adapt import adapt_head, fit_head
    from training.embedding.branch import save_branch

    splits = load_splits(options.data, options.crops, skip_unreadable=True)
    for line in (*splits.notes, splits.how):
        logger.info("%s", line)
    crops = frame(splits.train, framing, options.limit, source=f"--data {options.data}")
    if crops.identities is None or crops.trained_on is None:
        raise NoCrops(f"--data {options.data}: every picture needs a subject, since the projection learns whom to "
                      "tell apart")  # fmt: skip
    fit = fit_head if unfinished else adapt_head
    fitted = fit(branch, crops.pixels, crops.identities, options.shrinkage)
    facts = {**facts, "adapted_pictures": len(crops), "adapted_people": len({r.subject for r in splits.train})}
    record = crops.trained_on.after(record)
    if options.save:
        save_branch(fitted, options.save, facts, record)
    comparison = frame(splits.val, framing, options.limit, trained_on=record, source=f"--data {options.data}")
    return fitted, facts, record, comparison


def _branch(options: argparse.Namespace) -> SavedBranch:
    """That of the file or, where none is named, of the bundle itself."""
    return _saved_branch(options.branch or options.bundle)


def _saved_branch(source: Path) -> SavedBranch:
    """The branch of a file or of a bundle's folder, whose record of who was trained on speaks for it."""
    from export.errors import GraphError
    from training.checkpoint import read_trained_on
    from training.embedding.branch import load_branch
    from training.embedding.carried import branch_of

    if not source.is_dir():
        return load_branch(source)
    if (own := branch_of(source)) is None:
        raise GraphError(f"{source} has no aligned embedding of its own: give --branch, such as that which "
                         "`ear-teacher embedding project` writes")  # fmt: skip
    return own._replace(trained_on=read_trained_on(source))


def _record(options: argparse.Namespace, branch: TrainedOn | None) -> TrainedOn | None:
    """On whom the bundle's networks and the branch were trained; None where neither says so."""
    from training.checkpoint import read_trained_on
    from training.data.records import declared

    bundle = read_trained_on(options.bundle)
    if options.trained_on:
        stated = declared(options.trained_on).after(*(part for part in (bundle, branch) if part is not None))
        return replace(stated, incomplete=False)
    if bundle is None:
        return branch and branch.after(None)
    return bundle.after(branch)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ear-teacher embedding",
        description="Learn the aligned embedding from rendered ears, attach it to a bundle, or fit its projection.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="aligner|identity|project|attach|fit")
    aligner = actions.add_parser("aligner", help="train the landmark networks from renders with 17 landmarks")
    identity = actions.add_parser("identity", help="train the network that tells people apart on aligned renders")
    project = actions.add_parser("project", help="learn the projection from photo-like crops of renders")
    attach = actions.add_parser("attach", help="replace a bundle's embedding by that of a branch file")
    fit = actions.add_parser("fit", help="fit the projection to labelled pictures, then attach; minutes on a CPU")
    for action, rounds, seed in ((aligner, 4, 1), (identity, 4, 3), (project, 2, 2)):
        action.add_argument("data", type=Path, nargs="+", metavar="DATA", help="sets of `ear-teacher synth`")
        action.add_argument("--out", type=Path, required=True, metavar="FILE", help="the branch file to write")
        action.add_argument("--rounds", type=int, default=rounds, help="crops of each render (default %(default)s)")
        action.add_argument("--limit", type=int, help="most pictures of each DATA")
        action.add_argument("--seed", type=int, default=seed, help="(default %(default)s)")
    for action, steps, batch in ((aligner, 4000, 64), (identity, 6000, 128)):
        action.add_argument("--steps", type=int, default=steps, help=f"of {batch} crops (default %(default)s)")
        action.add_argument("--minutes", type=float, help="end earlier, after so many minutes of training")
        action.add_argument("--learning-rate", type=float, default=2e-3, help="falls to zero (default %(default)s)")
    aligner.add_argument("--init-from", type=Path, metavar="FILE|BUNDLE", help="go on from the networks of a branch "
                         "file or a bundle")  # fmt: skip
    aligner.add_argument("--dim", type=int, default=1024, help="length of the embedding (default %(default)s)")
    identity.add_argument("--branch", type=Path, required=True, help="what `aligner` wrote")
    identity.add_argument("--views", type=int, default=4, help="jittered views of each crop (default %(default)s)")
    project.add_argument("--branch", type=Path, required=True, help="what `aligner` or `identity` wrote")
    project.add_argument("--shrinkage", type=float, default=0.3, help="within-person scatter (default %(default)s)")
    for action in (attach, fit):
        action.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder with manifest.json")
        action.add_argument("--branch", type=Path, required=action is attach, help="a branch file"
                            + ("" if action is attach else " (default: the bundle's own)"))  # fmt: skip
        action.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
        action.add_argument("--crops", type=Path, required=action is attach, help="pictures of others, to calibrate on"
                            + ("" if action is attach else " (default: people of DATA that are held out)"))  # fmt: skip
        action.add_argument("--calibrated-on", metavar="WORDS", help="what the calibration says of these pictures "
                            "(default: the folder's name)")  # fmt: skip
        action.add_argument("--trained-on", type=Path, nargs="+", metavar="DATA", help="what bundle and branch learned "
                            "from, where their files do not say it")  # fmt: skip
        action.add_argument("--photographs", type=Path, help="figures for the model card: bench.real_ears --json")
        action.add_argument("--limit", type=int, default=20000, help="most pictures to read (default %(default)s)")
        action.add_argument("--force", action="store_true", help="replace an existing bundle")
    fit.add_argument("--data", type=Path, required=True, help="pictures with subjects: your own people, or renders")
    fit.add_argument("--shrinkage", type=float, default=0.8, help="within-person scatter (default %(default)s)")
    fit.add_argument("--save", type=Path, metavar="FILE", help="write the fitted branch too")
    return parser
