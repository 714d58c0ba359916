"""Plots of an evaluation as PNG files. Draws what it is given; computes no figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.image import to_png
from measure.identification import cmc
from measure.protocol import Comparison
from measure.verification import roc
from training.evaluation.study import Study

RANKS = 20
SHOWN = 8
COLOURS = ("#0b6e4f", "#b5651d", "#3a6ea5", "#7b4b94", "#888888", "#c2185b", "#5d4037")


@contextmanager
def figure(path: Path, width: float = 5.5, height: float = 4.0) -> Iterator[Any]:
    """One set of axes, saved as a PNG when the block ends; no window system is needed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    yield axes
    canvas.savefig(path)


def draw(study: Study, folder: Path) -> list[Path]:
    """Every plot that the study has numbers for, in the order of the report."""
    made = [folder / "reconstructions.png"]
    made[0].write_bytes(to_png(reconstruction_sheet(study.crops, study.reconstructions)))
    if study.comparisons:
        for name, plot in (("cmc", plot_cmc), ("roc", plot_roc), ("similarities", plot_similarities)):
            plot(study.comparisons, folder / f"{name}.png")
            made.append(folder / f"{name}.png")
    slices = study.results.get("identity", {}).get("slices", [])
    if slices:
        plot_slices(slices, folder / "slices.png")
        made.append(folder / "slices.png")
    return made


def reconstruction_sheet(crops: NDArray[np.uint8], reconstructions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures above their reconstructions, spread evenly over the set."""
    chosen = np.linspace(0, len(crops) - 1, min(SHOWN, len(crops))).round().astype(int)
    return np.concatenate([np.concatenate(list(rows[chosen]), axis=1) for rows in (crops, reconstructions)])


def plot_cmc(comparisons: Mapping[str, Comparison], path: Path) -> None:
    """Cumulative match characteristic: how often the right person is among the first k."""
    from matplotlib.ticker import MaxNLocator

    people = len(set(next(iter(comparisons.values())).gallery_ids))
    with figure(path) as axes:
        for colour, (name, pairs) in zip(COLOURS, comparisons.items(), strict=False):
            curve = cmc(pairs.similarity, pairs.query_ids, pairs.gallery_ids, min(RANKS, people))
            axes.plot(
                range(1, len(curve) + 1), curve, label=name, color=colour, linewidth=2 if name == "embedding" else 1
            )
        axes.set(xlabel="rank k", ylabel="right person among the first k", ylim=(0, 1.01))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(loc="lower right", frameon=False)


def plot_roc(comparisons: Mapping[str, Comparison], path: Path) -> None:
    """True-accept rate by false-accept rate, the latter by its logarithm."""
    with figure(path) as axes:
        for colour, (name, pairs) in zip(COLOURS, comparisons.items(), strict=False):
            curve = roc(pairs.similarity[pairs.same], pairs.similarity[~pairs.same])
            shown = curve.far > 0
            axes.plot(curve.far[shown], curve.tar[shown], label=name, color=colour)
        axes.set(xscale="log", xlabel="false-accept rate", ylabel="true-accept rate", ylim=(0, 1.01))
        axes.legend(loc="lower right", frameon=False)


def plot_similarities(comparisons: Mapping[str, Comparison], path: Path) -> None:
    """How similar pictures of one person are, beside pictures of two."""
    pairs = comparisons["embedding"]
    with figure(path) as axes:
        bins = list(np.linspace(-1, 1, 61))
        for label, chosen, colour in (("two people", ~pairs.same, COLOURS[4]), ("one person", pairs.same, COLOURS[0])):
            axes.hist(pairs.similarity[chosen], bins, density=True, alpha=0.6, label=label, color=colour)
        axes.set(xlabel="cosine similarity of the embedding", ylabel="density of pairs")
        axes.legend(loc="upper left", frameon=False)


def plot_slices(slices: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Rank-1 of each part of the pictures."""
    names = [f"{row['attribute']}: {row['value']}  ({row['queries']})" for row in slices]
    with figure(path, height=1 + 0.28 * len(names)) as axes:
        places = np.arange(len(names))[::-1]
        axes.barh(places, [row["rank1"] for row in slices], color=COLOURS[0], height=0.6)
        axes.set_yticks(places, names)
        axes.set(xlabel="rank-1 (queries in brackets)", xlim=(0, 1))
