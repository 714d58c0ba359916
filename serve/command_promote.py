"""`ear-teacher promote`: replace the model of a running service: stage, watch, activate, and go back if need be."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.client import EarTeacher
    from client.service_models import Promotion

STEPS = ("activate", "rollback", "retire")
GOES_ON = ("embedding", "ready", "active")
LOOK_EVERY_S = 0.5


def parser() -> argparse.ArgumentParser:
    """A bundle to stage, or a step of the promotion that is under way."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher promote",
        description="Stage NEW_BUNDLE beside the active model: the gallery is embedded anew while the service answers. "
        "Then activate it; rollback and retire end the promotion.",
    )
    parser.add_argument("what", metavar="NEW_BUNDLE|activate|rollback|retire|status", help="a bundle folder, or a step")
    parser.add_argument("--activate", action="store_true", help="activate as soon as the report allows it")
    parser.add_argument("--force", action="store_true", help="activate although the report speaks against it")
    parser.add_argument("--url", default=os.environ.get("EAR_TEACHER_URL", "http://127.0.0.1:8350"))
    parser.add_argument("--api-key", default=os.environ.get("EAR_TEACHER_API_KEY"), help="(EAR_TEACHER_API_KEY)")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb; status 1 where the report speaks against an activation that was asked for."""
    arguments = parser().parse_args(argv)
    from client.client import EarTeacher

    with EarTeacher(arguments.url, arguments.api_key) as ears:
        if arguments.what == "status":
            print(summary(_newest(ears)))
            return 0
        if arguments.what in STEPS:
            promotion = _newest(ears).id
            step = {"activate": lambda one: ears.activate(one, force=arguments.force)}.get(arguments.what)
            print(summary(step(promotion) if step else getattr(ears, arguments.what)(promotion)))
            return 0
        return _promote(ears, arguments)


def _promote(ears: EarTeacher, arguments: argparse.Namespace) -> int:
    promotion = _watched(ears, _begun(ears, Path(arguments.what).resolve()))
    print(summary(promotion))
    if promotion.state == "active":
        return 0
    if promotion.state != "ready":
        return 1
    if not arguments.activate:
        print("It answers nothing yet: ear-teacher promote activate")
        return 0
    if promotion.objections and not arguments.force:
        print("Not activated. To do it all the same: ear-teacher promote activate --force", file=sys.stderr)
        return 1
    print(summary(ears.activate(promotion.id, force=arguments.force)))
    return 0


def _begun(ears: EarTeacher, bundle: Path) -> Promotion:
    """The promotion of a bundle that goes on already, as after an interrupted wait; else a new one."""
    from bundle.manifest import MANIFEST_NAME, read_manifest

    # The folder may be on the service's machine only: then it is for the service to say what is there.
    newest = ears.promotions()[-1:] if (bundle / MANIFEST_NAME).is_file() else []
    if newest and newest[0].state in GOES_ON and newest[0].bundle_id == read_manifest(bundle).bundle_id:
        return newest[0]
    return ears.promote(str(bundle))


def _watched(ears: EarTeacher, promotion: Promotion) -> Promotion:
    """Wait for the gallery to be embedded, with a progress bar; interrupting the bar leaves the promotion running."""
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("embedding the gallery anew", total=None)
        while promotion.state == "embedding":
            bar.update(task, total=promotion.total or None, completed=promotion.done)
            time.sleep(LOOK_EVERY_S)
            promotion = ears.promotion(promotion.id)
        bar.update(task, total=promotion.total, completed=promotion.done)
    return promotion


def _newest(ears: EarTeacher) -> Promotion:
    from client.errors import Missing

    promotions = ears.promotions()
    if not promotions:
        raise Missing("the service knows of no promotion; begin one with: ear-teacher promote NEW_BUNDLE")
    return promotions[-1]


def summary(promotion: Promotion) -> str:
    """A promotion in a few lines."""
    lines = [
        f"promotion {promotion.id}: {promotion.state}, {promotion.done} of {promotion.total} ears",
        f"  from {promotion.from_bundle_id} to {promotion.bundle_id}",
    ]
    report = promotion.report
    if report is not None:
        overlap = ", ".join(f"{share:.2f} at {depth}" for depth, share in report["overlap"].items())
        lines.append(f"  neighbours kept: {overlap}")
        for name in ("before", "after"):
            if (scores := report[name]) is not None:
                lines.append(f"  {name}: rank-1 {scores['rank1']:.3f}, EER {scores['eer']:.3f}")
    lines += [f"  against it: {words}" for words in promotion.objections]
    lines += [f"  error: {promotion.error}"] if promotion.error else []
    return "\n".join(lines)
