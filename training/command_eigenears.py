"""`ear-teacher eigenears`: principal components of the latents as pictures, and whether they show anatomy."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common.progress import show_progress
from training.config import CHOICES
from training.errors import ConfigError

STRONG = 0.5
"""R² from which a component counts as showing something."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher eigenears",
        description="Principal components of the latents: pc_1.png ..., eigenears_grid.png, explained_variance.png "
        "and eigenears.csv; where landmarks are known, how much of each component is shape and how much is light.",
    )
    parser.add_argument("model", type=Path, help="a checkpoint (model.ckpt) or a bundle's folder")
    parser.add_argument(
        "--data", type=Path, required=True, help="pictures, in any of the formats of `ear-teacher train`"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/eigenears"), help="(default runs/eigenears)")
    parser.add_argument("--components", type=int, default=16, help="how many (default 16)")
    parser.add_argument(
        "--crop", choices=CHOICES["crop"], default="box", help="frame by the box, or whole (default box)"
    )
    return parser


def main(argv: list[str]) -> int:
    """Run the verb."""
    arguments = build_parser().parse_args(argv)
    if arguments.components < 1:
        raise ConfigError(f"--components {arguments.components}: must be at least 1")
    from training.eigenears.sheet import write_sheet, write_strips, write_table, write_variance
    from training.eigenears.study import study
    from training.evaluation.model import open_model

    show_progress()
    model = open_model(arguments.model)
    ears, rows = study(model, arguments.data, arguments.components, arguments.crop == "box")
    arguments.out.mkdir(parents=True, exist_ok=True)
    strips = write_strips(model, ears, arguments.out)
    write_sheet(strips, rows, arguments.out / "eigenears_grid.png")
    write_variance(ears, arguments.out / "explained_variance.png")
    write_table(rows, arguments.out / "eigenears.csv")
    (arguments.out / "eigenears.json").write_text(json.dumps({"model": model.name, "components": rows}, indent=1))
    for line in lines(rows):
        print(line)
    print(f"sheet: {arguments.out / 'eigenears_grid.png'}")
    return 0


def lines(rows: list[dict[str, float]]) -> list[str]:
    """What the terminal shows."""
    columns = {"variance_share": "variance", "up_to": "up to it", "shape_r2": "shape R2", "appearance_r2": "light R2",
               "pose_r2": "pose R2"}  # fmt: skip
    shown = [key for key in columns if key in rows[0]]
    text = ["      " + "".join(f"{columns[key]:>10s}" for key in shown)]
    text += [f"PC {row['component']:<3.0f}" + "".join(f"{row[key]:10.3f}" for key in shown) for row in rows]
    if "shape_r2" in rows[0]:
        count = sum(row["shape_r2"] > STRONG for row in rows)
        text.append(
            f"{count} of {len(rows)} components are anatomy (shape R2 above {STRONG}, light, skin and pose taken out)"
        )
    elif "appearance_r2" in rows[0]:
        count = sum(row["appearance_r2"] > STRONG or row.get("pose_r2", 0.0) > STRONG for row in rows)
        text.append(
            f"{count} of {len(rows)} components are light, skin or pose (R2 above {STRONG}); whether the others are "
            "anatomy is not measured: the pictures have no landmarks"
        )
    else:
        text.append("anatomy or light? not measured: the pictures show too few people")
    return text
