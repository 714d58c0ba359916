"""`ear-teacher demo`: the whole chain on the demo ears, with progress, figures and, at the end, the service.

Prints; what the stages do is in `demo/chain.py`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from demo.chain import Places
    from measure.protocol import Scores


def parser() -> argparse.ArgumentParser:
    """The flags of the demo."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher demo",
        description="The whole chain on the demo ears: a model, its figures, a gallery, and the service.",
    )
    parser.add_argument("--train", action="store_true", help="train and export a model first, even if one is shipped")
    parser.add_argument("--minutes", type=float, default=4.0, help="longest that training may take (default 4)")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier demo left in --out")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder for everything made (default runs/demo)"
    )
    parser.add_argument("--no-serve", action="store_true", help="stop when the gallery is filled")
    parser.add_argument("--port", type=int, default=8350, help="port of the service (default 8350; 0: any free one)")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb; returns when the service has stopped, or at once with --no-serve."""
    flags = parser().parse_args(argv)
    from rich.console import Console

    from demo import chain

    console = Console(highlight=False, soft_wrap=True)
    places = chain.Places(flags.out)
    if flags.fresh:
        places.forget()
    started = time.monotonic()
    bundle = make_bundle(places, console, train=flags.train, minutes=flags.minutes)
    show_and_fill(bundle, places, console)
    console.print(f"\nAll of it took {time.monotonic() - started:.0f} s.")
    if flags.no_serve:
        console.print(f"To serve it: ear-teacher serve --bundle {_relative(bundle)} --gallery {places.gallery}")
        return 0
    serve(bundle, places.gallery, flags.port)
    return 0


def make_bundle(places: Places, console: Console, *, train: bool, minutes: float) -> Path:
    """The shipped bundle, the one of an earlier demo, or a new one."""
    from common.progress import show_progress
    from demo import chain

    if not train and chain.is_bundle(chain.SHIPPED_BUNDLE):
        console.print(f"Starting from the shipped model, {_relative(chain.SHIPPED_BUNDLE)} (--train makes one here).")
        return chain.SHIPPED_BUNDLE
    if chain.is_bundle(places.bundle):
        console.print(f"Found the model of an earlier demo in {places.bundle} (--fresh makes a new one).")
        return places.bundle
    with stage(console, f"Training the tiny preset on the demo ears, at most {minutes:g} minutes"):
        console.print(
            "Trained from scratch: nothing is pretrained and nothing is frozen. The perceptual term is off, because\n"
            "VGG16's weights are not shipped. Pictures of one person's ears attract each other."
        )
        show_progress()
        checkpoint = chain.train(places, minutes)
    with stage(console, "Exporting to ONNX, each graph compared with torch"):
        chain.export(checkpoint, places, lambda line: console.print(f"  {line}"))
    return places.bundle


def show_and_fill(bundle: Path, places: Places, console: Console) -> None:
    """Measure the model on people it has never seen, and put two pictures of each into the gallery."""
    from bundle.model import load
    from demo import chain
    from demo.people import meet, scores

    with stage(console, "Looking at people the model has never seen"), load(bundle) as model:
        model.check_golden()
        people = meet(chain.validation_records(), model, lambda done, of: _count(console, done, of))
        report(console, scores(people))
        count = chain.fill(places, model, people)
        console.print(f"The gallery holds {count} ears of {len(set(people.subjects))} people, durably.")


def report(console: Console, found: dict[str, Scores]) -> None:
    """The figures, the embedding's beside HOG's, and in words how good that is."""
    from rich.table import Table

    ours, hog = found["embedding"], found["HOG"]
    table = Table(title=f"{ours.subjects} people, {ours.queries} queries, 2 gallery pictures each (rendered ears)")
    for heading in ("", "rank-1", "rank-5", "EER"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, score in found.items():
        table.add_row(name, f"{score.rank1:.3f}", f"{score.rank5:.3f}", f"{score.eer:.3f}")
    console.print(table)
    wins = ours.rank1 > hog.rank1 and ours.eer < hog.eer
    verdict = "beats HOG on both figures" if wins else "does NOT beat HOG: train for longer (ear-teacher train --help)"
    console.print(f"The embedding {verdict}; guessing would reach rank-1 {1 / ours.subjects:.3f} and EER 0.5.")


def serve(bundle: Path, gallery: Path, port: int) -> None:
    """The service on loopback, until interrupted."""
    from demo import chain
    from serve.server import run
    from serve.settings import read_settings

    sample = chain.validation_records()[-1]
    query = f"side={sample.side}&box={','.join(f'{edge:g}' for edge in sample.box or ())}"
    run(read_settings({"bundle": bundle, "gallery": gallery, "port": port}), _relative(sample.path), query)


@contextmanager
def stage(console: Console, title: str) -> Iterator[None]:
    """A heading before, the seconds after."""
    console.rule(f"[bold]{title}", align="left")
    started = time.monotonic()
    yield
    console.print(f"[dim]{time.monotonic() - started:.0f} s[/dim]")


def _count(console: Console, done: int, of: int) -> None:
    if console.is_terminal or done == of:
        console.print(f"  encoded {done} of {of} pictures", end="\n" if done == of else "\r")


def _relative(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
