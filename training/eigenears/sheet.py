"""The files of `ear-teacher eigenears`: a strip for each component, one sheet of all, the variance, and a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.image import to_png
from training.eigenears.anatomy import Anatomy
from training.eigenears.components import STEPS, Eigenears
from training.evaluation.model import StudiedModel
from training.evaluation.plots import COLOURS, figure


def write_strips(model: StudiedModel, ears: Eigenears, folder: Path) -> list[NDArray[np.uint8]]:
    """`pc_1.png`, `pc_2.png`, ...: mean - 3 sigma to mean + 3 sigma, decoded. Returns the strips."""
    strips = [ears.strip(model, component) for component in range(len(ears.axes))]
    for number, strip in enumerate(strips, start=1):
        (folder / f"pc_{number}.png").write_bytes(to_png(strip))
    return strips


def write_sheet(strips: list[NDArray[np.uint8]], rows: list[dict[str, float]], path: Path) -> None:
    """`eigenears_grid.png`: every strip with its share of the variance and, where known, what it shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 1.05 * len(strips) + 0.4), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(len(strips), 1, squeeze=False)[:, 0]
    for number, (axis, strip, row) in enumerate(zip(axes, strips, rows, strict=True), start=1):
        axis.imshow(strip)
        axis.set(yticks=[], xticks=[])
        text = f"PC {number}\n{row['variance_share']:.1%}"
        for key, name in (("shape_r2", "shape"), ("appearance_r2", "light")):
            text += f"\n{name} {row[key]:.2f}" if key in row else ""
        axis.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)
    side = strips[0].shape[0]
    places = [side * (index + 0.5) for index in range(len(STEPS))]
    axes[-1].set_xticks(places, [f"{step:+.0f} σ" if step else "mean" for step in STEPS])
    canvas.savefig(path)


def write_variance(ears: Eigenears, path: Path) -> None:
    """`explained_variance.png`: the share of each component, and of all up to it."""
    numbers = np.arange(1, len(ears.share) + 1)
    with figure(path) as axes:
        axes.bar(numbers, ears.share, color=COLOURS[0], label="this component")
        axes.plot(numbers, np.cumsum(ears.share), color=COLOURS[1], marker=".", label="all up to it")
        axes.set(xlabel="component", ylabel="share of the latents' variance", ylim=(0, 1))
        axes.legend(loc="center right", frameon=False)


def rows_of(ears: Eigenears, explained: Anatomy | None) -> list[dict[str, float]]:
    """One row a component: shares, and R² where measured."""
    rows = []
    for index, share in enumerate(ears.share):
        row = {"component": index + 1, "variance_share": float(share), "up_to": float(ears.share[: index + 1].sum())}
        if explained is not None:
            parts = {"shape_r2": explained.shape, "appearance_r2": explained.appearance, "pose_r2": explained.pose}
            row |= {name: float(values[index]) for name, values in parts.items() if values is not None}
        rows.append(row)
    return rows


def write_table(rows: list[dict[str, float]], path: Path) -> None:
    """`eigenears.csv`."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({key: round(value, 5) for key, value in row.items()} for row in rows)
