"""Makes a set: people in, files out, in one process or several."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from synth.config import SynthConfig
from synth.head.assets import load_assets
from synth.head.relief import build_relief
from synth.head.scans import load_modes
from synth.head.template import build_template
from synth.people.shape import Sculptor
from synth.pictures.crops import crops_of
from synth.pictures.negatives import negative_of
from synth.pictures.picture import Picture
from synth.pictures.scenes import scene_of
from synth.records import rows, splits, write_lists, write_metadata

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """What came of a run."""

    pictures: int
    people: int
    seconds: float


def make_sculptor(config: SynthConfig) -> Sculptor:
    """Everything that all people share, from the assets; reads what an earlier call cached."""
    assets = load_assets(config.assets, config.cache)
    template = build_template(assets, close_up=config.mode == "crops")
    scans = load_modes(config.ict, template, config.cache) if config.ict else None
    return Sculptor(template, build_relief(template), scans)


def make_set(config: SynthConfig, tell: Tell) -> Made:
    """Render a whole set into config.out; `tell` hears about progress now and then."""
    folder = config.mode
    (config.out / folder).mkdir(parents=True, exist_ok=True)
    start, pictures, table = time.monotonic(), 0, []
    numbers = range(config.first, config.first + config.subjects)
    split = splits([name_of(config, number) for number in numbers], config.validation)
    for done, made in enumerate(_made(config, numbers), 1):
        for picture in made:
            (config.out / folder / f"{picture.image}.jpg").write_bytes(picture.jpeg)
            table += rows(picture, folder, split[picture.subject])
        pictures += len(made)
        if done % 10 == 0 or done == config.subjects:
            pace = pictures / (time.monotonic() - start)
            tell(f"{done}/{config.subjects} {UNITS[config.mode]}, {pictures} pictures, {pace:.2f} pictures/s")
    write_metadata(config.out / "metadata.csv", table)
    if config.mode != "negatives":
        write_lists(config.out, table)
    return Made(pictures, config.subjects, time.monotonic() - start)


UNITS = {"crops": "people", "scenes": "scenes", "negatives": "pictures without ears"}


def name_of(config: SynthConfig, number: int) -> str:
    """A subject's name in files."""
    return f"s{config.seed}_{number:04d}"


def _made(config: SynthConfig, numbers: range) -> Iterator[list[Picture]]:
    """The pictures of each number in turn."""
    if config.jobs == 1:
        _prepare(config)
        yield from map(_one, numbers)
        return
    with multiprocessing.get_context("spawn").Pool(config.jobs, _prepare, (config,)) as pool:
        yield from pool.imap(_one, numbers)


_WORK: list[Callable[[int], list[Picture]]] = []
"""What this process renders with; a pool hands it to each process once instead of with every person."""


def _prepare(config: SynthConfig) -> None:
    if os.name == "posix":
        os.nice(5)  # a set takes hours; whoever works at the machine comes first
    sculptor = make_sculptor(config)
    make = {"crops": crops_of, "scenes": scene_of, "negatives": negative_of}[config.mode]
    _WORK[:] = [lambda number: make(sculptor, config, number)]


def _one(number: int) -> list[Picture]:
    return _WORK[0](number)
