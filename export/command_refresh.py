"""`ear-teacher refresh`: retrain, evaluate, export and promote in one command that can be run again where it stopped.

Each stage is a verb of its own in a process of its own, so that what can be done here can be done by hand.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from export.refresh import STAGES, RefreshConfig, Stage, remember, stages

FRONT_DOOR = Path(__file__).resolve().parents[1] / "ear_teacher.py"
EXPORT_REFUSED_A_VARIANT = 1


def parser() -> argparse.ArgumentParser:
    """The command line; what follows `--` belongs to `ear-teacher train`."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher refresh",
        description="Retrain on DATA, evaluate, export, and promote the new bundle on a running service. A stage whose "
        "result is there is passed over, an interrupted one is taken up again: run the same command once more.",
        epilog="Flags for training follow after --, such as: -- --preset tiny --max-minutes 30",
    )
    parser.add_argument("--data", type=Path, required=True, help="pictures to train on, as for ear-teacher train")
    parser.add_argument("--val", type=Path, help="validation pictures, for evaluation and for export to compare on")
    parser.add_argument("--out", type=Path, required=True, help="folder for the run, its report and the bundle; the "
                        "service must see it under the same path")  # fmt: skip
    parser.add_argument("--precision", help="variants to export, comma-separated (default: as ear-teacher export)")
    group = parser.add_argument_group("promotion")
    group.add_argument("--url", default=os.environ.get("EAR_TEACHER_URL", RefreshConfig.url), help="(%(default)s)")
    group.add_argument("--activate", action="store_true", help="activate as soon as the report allows it")
    group.add_argument("--force", action="store_true", help="activate although the report speaks against it")
    group = parser.add_argument_group("stages", f"{', '.join(STAGES)}, in this order")
    group.add_argument("--skip", action="append", default=[], metavar="STAGE", help="leave a stage out (repeatable)")
    group.add_argument("--until", default=STAGES[-1], metavar="STAGE", help="end after this stage (%(default)s)")
    group.add_argument("--dry-run", action="store_true", help="say what would run, and run nothing")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb; the status is that of the first stage that failed or was refused."""
    own, train_flags = split_flags(argv)
    options = parser().parse_args(own)
    config = RefreshConfig(
        data=options.data,
        out=options.out,
        val=options.val,
        url=options.url,
        precision=options.precision,
        activate=options.activate,
        force=options.force,
        skip=tuple(options.skip),
        until=options.until,
        train_flags=train_flags,
    )
    if options.dry_run:
        return run_stages(stages(config), lambda stage: 0)
    remember(config)
    return run_stages(stages(config), run)


def split_flags(argv: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Our flags, and training's after the first `--`."""
    if "--" not in argv:
        return argv, ()
    at = argv.index("--")
    return argv[:at], tuple(argv[at + 1 :])


def run_stages(chain: list[Stage], run: Callable[[Stage], int]) -> int:
    """Run what is not done, each stage is printed before it begins. Stops at the first that fails."""
    for number, stage in enumerate(chain, start=1):
        head = f"[{number}/{len(chain)}] {stage.name}"
        if stage.is_done:
            print(f"{head}: done before, {stage.done} is there", flush=True)
            continue
        print(f"{head}: ear-teacher {shlex.join(stage.argv)}", flush=True)
        status = run(stage)
        if status and not (stage.name == "export" and status == EXPORT_REFUSED_A_VARIANT and stage.is_done):
            print(f"{head} ended with status {status}; run the same command again to go on from here", file=sys.stderr)
            return status
    return 0


def run(stage: Stage) -> int:
    """A stage as a process of its own: what training held is free when export begins."""
    return subprocess.run([sys.executable, str(FRONT_DOOR), *stage.argv]).returncode
