"""`ear-teacher distill TEACHER`: a small student learns to see what a large teacher sees."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from training.command_train import build_parser, config_from
from training.errors import ConfigError

STUDENT = {"preset": "student", "random_init": True, "precision": "auto", "out": Path("runs/student")}
"""Where a student's defaults differ from a teacher's; latent and crops are the teacher's."""
SMALL = {"batch_size": 32, "views": 1, "decode_every": 4, "optimizer": "muon", "lr": 2e-3}
"""What training from scratch wants; contrastive and perceptual terms are the teacher's business."""


def parser() -> argparse.ArgumentParser:
    """The flags of `ear-teacher train`, and the teacher."""
    whole = build_parser()
    whole.prog, whole.description = "ear-teacher distill", __doc__
    whole.add_argument("teacher", type=Path, help="the teacher's model.ckpt")
    whole.add_argument(
        "--imitate-weight", type=float, metavar="W", help="of the teacher's mu and embedding (default 1)"
    )
    return whole


def main(argv: list[str]) -> int:
    """Run the verb."""
    given = vars(parser().parse_args(argv))
    if "resume" in given:
        raise ConfigError("--resume: a student's run is short and is not taken up again; start it anew")
    teacher: Path = given.pop("teacher")
    imitation = float(given.pop("imitate_weight", 1.0))
    if imitation <= 0:
        raise ConfigError(f"--imitate-weight {imitation}: must be above 0; without a teacher, use ear-teacher train")
    from training.checkpoint import read_checkpoint

    shape = read_checkpoint(teacher).config
    sizes = {"latent_dim": shape.latent_dim, "image_size": shape.image_size_px}
    quiet: dict[str, Any] = {"contrastive_weight": 0.0, "perceptual_weight": 0.0, "coarse_weight": 1.0}
    config = config_from({**STUDENT, **SMALL, **sizes, **quiet, **given})
    from training.distill import distill

    path = distill(teacher, config, imitation, lambda line: print(line, flush=True))
    print(f"export it as a bundle: ear-teacher export {path} --out FOLDER --crops DATA")
    return 0
