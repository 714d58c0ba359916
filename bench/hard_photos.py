"""Ears that are small, many or turned, as the service's own detection finds them; and its alarms where there is none.

    python -m bench.hard_photos --scenes ears/scenes.csv --crops demo/ears/metadata.csv --markdown table.md

Heads come from a set of `ear-teacher synth --mode scenes`, backgrounds from scikit-image. An ear counts as found where
a box overlaps its own by a third or more: boxes of turned heads are those of the turned landmarks, which are rough.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.real_ears_photos import ear_free
from bundle.framing import Box
from bundle.image import Picture, read, to_png
from bundle.landmarks import overlap
from bundle.model import load
from serve.inference.decode_pool import DecodeLimits, DecodePool
from serve.inference.detection import SeenEar, seen_ears
from serve.inference.engine import Engine
from serve.observability.request_context import Trace
from serve.settings import Settings

ANGLES = range(0, 360, 45)
SIZES_PX = (20, 30, 40, 80, 150, 300, 600)
PHOTO = (4000, 3000)
FOUND = 1 / 3
BACKDROPS = ("coffee.png", "chelsea.png", "rocket.jpg", "grass.png", "brick.png", "china.jpg", "flower.jpg")
LONG_S = 3600.0
TABLES = ("many", "alarms", "sizes", "turned")


@dataclass(frozen=True)
class Truth:
    """One ear that is in a picture. height: of its box, in the picture's pixels."""

    box: Box
    side: str
    height: int = 0


class Sight:
    """A service's detection, without the service."""

    def __init__(self, bundle: Path) -> None:
        self.settings = Settings.model_validate({"bundle": bundle, "threads": 1, "stalled_after_s": LONG_S})
        self.runs = 0
        self.engine = Engine(load(bundle), self.settings, self._count)
        self.pool = DecodePool(DecodeLimits(1, 64, 1 << 30, 1 << 30))

    def _count(self, graph: str, size: int, seconds: float) -> None:
        self.runs += size if graph == "landmarks" else 0

    def __call__(self, picture: Picture, tiles: bool = False) -> list[SeenEar]:
        """The ears of a picture as `detect=all` answers them."""
        return asyncio.run(self._seen(to_png(picture), tiles))

    async def _seen(self, data: bytes, tiles: bool) -> list[SeenEar]:
        trace = Trace("bench", time.monotonic() + LONG_S)
        async with seen_ears(self.pool, self.engine, trace, data, tiles=tiles) as (_, seen):
            return seen


def match(seen: list[SeenEar], truth: Truth) -> SeenEar | None:
    """The ear that was found where one is."""
    boxes = [(overlap(np.array(one.ear.box), np.array(truth.box)), one) for one in seen]
    best = max(boxes, key=lambda pair: pair[0], default=(0.0, None))
    return best[1] if best[0] >= FOUND else None


def scenes(table: Path, count: int) -> list[tuple[Picture, dict[str, str]]]:
    """Some validation heads with one ear each, evenly over the table, and their rows."""
    with open(table, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val" and row["x1"]]
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    return [(read(table.parent / rows[number]["path"]), rows[number]) for number in chosen]


def box_of(row: dict[str, str]) -> Box:
    """The ear box of a row."""
    x1, y1, x2, y2 = (float(row[name]) for name in ("x1", "y1", "x2", "y2"))
    return x1, y1, x2, y2


def turned(picture: Picture, row: dict[str, str], angle: int) -> tuple[Picture, Truth]:
    """A head turned anticlockwise on grey, and the box of its turned landmarks."""
    image = Image.fromarray(picture)
    whole = image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=(128, 128, 128))
    names = [name[:-2] for name in row if name.endswith("_x")]
    points = np.array([[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in names])
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    places = (points - np.array(image.size) / 2) @ np.array([[cos, -sin], [sin, cos]]) + np.array(whole.size) / 2
    (x1, y1), (x2, y2) = places.min(0).tolist(), places.max(0).tolist()
    return np.asarray(whole), Truth((x1, y1, x2, y2), row["side"])


def turned_rows(sight: Sight, table: Path, heads: int) -> Iterator[str]:
    """How many ears of turned heads are found, upright and in all, and of how many of them the side is right."""
    yield "| heads turned by | found upright | found | side right | other ears reported |\n|---|---|---|---|---|"
    for angle in ANGLES:
        upright = found = sides = others = 0
        chosen = scenes(table, heads)
        for picture, row in chosen:
            whole, truth = turned(picture, row, angle)
            seen = sight(whole)
            ear = match(seen, truth)
            others += len(seen) - (ear is not None)
            if ear is not None:
                found += 1
                upright += ear.ear.turns == 0
                sides += ear.ear.side == truth.side
        yield f"| {angle}° | {upright} of {len(chosen)} | {found} | {sides} | {others} |"


def backdrop(number: int) -> Picture:
    """A photograph without ears, mirrored at its edges until it fills 12 megapixels."""
    paths = {path.name: path for path in ear_free()}
    pixels = read(paths[BACKDROPS[number % len(BACKDROPS)]])
    wide, high = PHOTO
    return np.pad(
        pixels, ((0, max(high - pixels.shape[0], 0)), (0, max(wide - pixels.shape[1], 0)), (0, 0)), mode="symmetric"
    )[:high, :wide].copy()


def crowd(number: int, heads: list[tuple[Picture, dict[str, str]]]) -> tuple[Picture, list[Truth]]:
    """A 12-megapixel photograph with two ears of each size, and one of the largest."""
    canvas, truths = backdrop(number), list[Truth]()
    generator = np.random.default_rng(number)
    taken: list[Box] = []
    sizes = [SIZES_PX[-1], *sorted(SIZES_PX[:-1] * 2, reverse=True)]
    for place, height in enumerate(sizes):
        picture, row = heads[(number * len(sizes) + place) % len(heads)]
        x1, y1, x2, y2 = box_of(row)
        reach, zoom = 0.75 * (y2 - y1), height / (y2 - y1)
        left, top = max(int(x1 - reach), 0), max(int(y1 - reach), 0)
        cut = picture[top : int(y2 + reach), left : int(x2 + reach)]
        size = (round(cut.shape[1] * zoom), round(cut.shape[0] * zoom))
        for _ in range(500):
            x, y = int(generator.integers(PHOTO[0] - size[0])), int(generator.integers(PHOTO[1] - size[1]))
            spot = (x, y, x + size[0], y + size[1])
            if all(overlap(np.array(spot), np.array(other)) == 0 for other in taken):
                break
        else:
            continue
        taken.append(spot)
        canvas[y : spot[3], x : spot[2]] = np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.BICUBIC))
        edges = ((x1 - left) * zoom + x, (y1 - top) * zoom + y, (x2 - left) * zoom + x, (y2 - top) * zoom + y)
        truths.append(Truth(edges, row["side"], height))
    return canvas, truths


def size_rows(sight: Sight, table: Path, photos: int) -> Iterator[str]:
    """How many ears of each size are found in 12-megapixel photographs, by default and in tiles, and what it takes."""
    heads, counts = scenes(table, 1000), defaultdict[int, list[int]](lambda: [0, 0, 0])
    spent: dict[bool, list[float]] = {False: [0, 0, 0], True: [0, 0, 0]}
    for number in range(photos):
        canvas, truths = crowd(number, heads)
        for truth in truths:
            counts[truth.height][0] += 1
        for tiles in (False, True):
            before, start = sight.runs, time.process_time()
            seen = sight(canvas, tiles)
            found = [truth for truth in truths if match(seen, truth)]
            for truth in found:
                counts[truth.height][1 + tiles] += 1
            used = (sight.runs - before, time.process_time() - start, len(seen) - len(found))
            spent[tiles] = [a + b for a, b in zip(spent[tiles], used, strict=True)]
    yield "| height of the ear | in the 640 px square | by default | tiles |\n|---|---|---|---|"
    for size in SIZES_PX:
        there, whole, tiled = counts[size]
        yield f"| {size} px | {size * 640 / PHOTO[0]:.0f} px | {whole} of {there} | {tiled} of {there} |"
    for tiles, (runs, seconds, wrong) in spent.items():
        yield (
            f"\n{'tiles' if tiles else 'by default'}: {runs / photos:.0f} squares and {seconds / photos:.1f} s of "
            f"processor time a photograph, {wrong:.0f} ears reported in {photos} photographs where none is"
        )


def many_rows(sight: Sight, table: Path) -> Iterator[str]:
    """How many of 20 ears in one picture are found."""
    seen = sight(mosaic(table))
    yield f"20 framed ears side by side: {len(seen)} found in {sight.runs} squares"


def alarm_rows(sight: Sight) -> Iterator[str]:
    """What is taken for an ear in pictures without one."""
    yield "| pictures without ears | with an ear reported | which |\n|---|---|---|"
    for tiles in (False, True):
        seen = {path.name: sight(read(path), tiles) for path in ear_free()}
        alarms = [f"{name} ({_about(one)})" for name, ears in seen.items() for one in ears]
        names = {name for name, ears in seen.items() if ears}
        yield f"| {'tiles' if tiles else 'by default'} | {len(names)} of {len(seen)} | {'; '.join(alarms)} |"


def _about(one: SeenEar) -> str:
    x1, y1, x2, y2 = one.ear.box
    return (
        f"{x2 - x1:.0f} x {y2 - y1:.0f} px, turned by {90 * one.ear.turns}°, score {one.ear.score:.2f}, "
        f"likeness {one.likeness or 0:.2f}"
    )


def mosaic(table: Path, columns: int = 5, rows: int = 4) -> Picture:
    """Framed ears of different people side by side."""
    with open(table, newline="", encoding="utf-8") as file:
        paths = {row["subject"]: row["path"] for row in csv.DictReader(file) if row["occluded"] == "0"}
    chosen = [read(table.parent / path) for path in list(paths.values())[: columns * rows]]
    return np.concatenate([np.concatenate(chosen[n * columns : (n + 1) * columns], 1) for n in range(rows)])


def main(argv: list[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.hard_photos", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=Path("demo/bundle"))
    parser.add_argument("--scenes", type=Path, required=True, help="table of `ear-teacher synth --mode scenes`")
    parser.add_argument("--crops", type=Path, default=Path("demo/ears/metadata.csv"), help="table of framed ears")
    parser.add_argument("--heads", type=int, default=16, help="turned by each angle (default %(default)s)")
    parser.add_argument("--photos", type=int, default=6, help="of 12 megapixels (default %(default)s)")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="which to make (default: all)")
    parser.add_argument("--markdown", type=Path, help="write the tables here too")
    options = parser.parse_args(argv)
    sight, lines = Sight(options.bundle), list[str]()

    def tell(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    tables = {
        "many": lambda: many_rows(sight, options.crops),
        "alarms": lambda: alarm_rows(sight),
        "sizes": lambda: size_rows(sight, options.scenes, options.photos),
        "turned": lambda: turned_rows(sight, options.scenes, options.heads),
    }
    for name in options.tables:
        for line in tables[name]():
            tell(line)
        tell("")
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
