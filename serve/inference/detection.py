"""Ears in photos, for routes: a posted picture -> what the bundle's detector finds in it, and as it is answered.

The detector proposes, the encoder's landmarks decide: what they are unsure of is passed over (a cascade, as in Viola &
Jones 2001). A photo is looked at upright, in tiles where that is asked, and turned where no ear is surely upright.
Knows the decode pool and the engine; knows neither the gallery nor how the detector looks at a square.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from bundle.framing import Framing
from bundle.image import Picture, frame, turn
from bundle.landmarks import FoundEar, Letterboxed, distinct, letterbox
from bundle.photo import EXACT_PIXELS
from client.models import Ear, Landmark
from serve.inference.decode_pool import DecodePool, Photo, oriented
from serve.inference.encoded import Encoded
from serve.inference.engine import Engine
from serve.inference.tiles import TILED_PIXELS, is_cut, tiles_of
from serve.observability.request_context import Trace

LEAST_LIKENESS = 0.25
"""Of what the detector takes for an ear, by its landmarks: 99 of 100 held-out rendered ears reach it."""
LEAST_IN_TILES = 0.5
"""Likeness asked for with tiles: in a photo of 12 megapixels 3 that were no ear had .32 to .38, 8 ears .98 or more."""
SURE = 0.9
"""Likeness at which an ear is certainly upright: of 11 rendered ears each upright one had 1.00, and of 33 looks at them
turned by 90, 180 and 270 degrees 9 passed `LEAST_LIKENESS` and none this."""
TURNS = (2, 1, 3)
"""Quarter turns in which a photo without a certainly upright ear is looked at."""
TILES_AT_ONCE = 8
"""Tiles whose squares are in memory together."""
MANY = 2
"""Ears in a square after which there may be more."""
WEAK = 0.35
"""Least score of an ear among many: of 20 ears side by side 8 reach the shipped bundle's threshold, all reach this."""
MOST_LOOKS = 8
"""At one square, of four ears each."""


@dataclass(frozen=True)
class SeenEar:
    """An ear in a photo; where its certainty was asked for, with its crop and what the encoder says of that.

    crop: as `crop_of` frames it. likeness: to an ear, 0 to 1.
    """

    ear: FoundEar
    crop: Picture | None = None
    encoded: Encoded | None = None
    likeness: float | None = None


@asynccontextmanager
async def seen_ears(
    pool: DecodePool, engine: Engine, trace: Trace, data: bytes, threshold: float | None = None, tiles: bool = False
) -> AsyncIterator[tuple[Photo, list[SeenEar]]]:
    """A photo, of which a bounded copy is in memory until the end, and its ears, the most certain first.

    threshold: least score of an ear, which then alone decides; None: the bundle's, and of those the ears whose
    landmarks are certain, where the encoder says how certain they are. tiles: look at parts of the photo as well.
    Raises NotHere where the bundle has no landmarks, and what decoding and the queue raise.
    """
    least = engine.finder.threshold if threshold is None else threshold
    async with pool.photo(trace, data, engine.framing, TILED_PIXELS if tiles else EXACT_PIXELS) as photo:
        is_checked = threshold is None and engine.has_spread
        (ears,) = await _looked(engine, trace, [photo.square], least, is_checked)
        if tiles:
            ears = _by_score(ears + await _in_tiles(pool, engine, trace, photo, least, is_checked))
        if not is_checked:
            yield photo, [SeenEar(ear) for ear in ears]
            return
        seen = await _certain(pool, engine, trace, photo, ears, LEAST_IN_TILES if tiles else LEAST_LIKENESS)
        if not any(one.likeness is None or one.likeness >= SURE for one in seen):
            # An ear of a turned head can pass for an upright one, but its landmarks are surer the right way round.
            turned = await _turned(pool, engine, trace, photo, least)
            seen = [one for one in turned if not seen or (one.likeness or 0.0) >= SURE] or seen
        yield photo, seen


async def _looked(
    engine: Engine, trace: Trace, squares: Sequence[Letterboxed], least: float, is_checked: bool = True
) -> list[list[FoundEar]]:
    """The ears of each square, the most certain first. Where there are many, those found are covered and it is looked
    at again: the detector answers a few places of a square, and each ear of many weakly.

    is_checked: what does not look like an ear to the encoder is dropped later, so that weak ones may be taken.
    """
    sure = max(least, engine.finder.threshold)
    weak = min(WEAK, sure) if is_checked else sure
    found: list[list[FoundEar]] = [[] for _ in squares]
    waiting, crowded = dict(enumerate(squares)), set[int]()
    for _ in range(MOST_LOOKS):
        rows = await engine.find(trace, list(waiting.values()))
        looked, waiting = waiting, {}
        for (number, square), row in zip(looked.items(), rows, strict=True):
            if sum(ear.score >= sure for ear in row) >= MANY:
                crowded.add(number)
            floor, before = min(least, weak) if number in crowded else least, len(found[number])
            found[number] = _once(found[number] + [ear for ear in row if ear.score >= floor])
            new = [ear.box for ear in found[number][before:] if ear.score >= weak]
            if number in crowded and new:
                waiting[number] = square.without(new)
        if not waiting:
            break
    return [_by_score(ears) for ears in found]


async def _in_tiles(
    pool: DecodePool, engine: Engine, trace: Trace, photo: Photo, least: float, is_checked: bool
) -> list[FoundEar]:
    """The ears of all tiles that lie wholly in one."""
    tiles, ears = list(tiles_of(photo.part)), list[FoundEar]()
    for start in range(0, len(tiles), TILES_AT_ONCE):
        some = tiles[start : start + TILES_AT_ONCE]
        squares: list[Letterboxed] = await pool.run(trace, partial(list, map(letterbox, some)))
        rows = await _looked(engine, trace, squares, least, is_checked)
        ears += [ear for tile, row in zip(some, rows, strict=True) for ear in row if not is_cut(ear.box, tile)]
    return ears


async def _turned(pool: DecodePool, engine: Engine, trace: Trace, photo: Photo, least: float) -> list[SeenEar]:
    """The ears of a turned photo: each as it was seen in the turn in which it is most like an ear."""
    rows = await _looked(engine, trace, [photo.square.turned(turns) for turns in TURNS], least)
    seen = await _certain(pool, engine, trace, photo, [ear for row in rows for ear in row])
    seen.sort(key=lambda one: -(one.likeness or 0.0))
    kept = [seen[number] for number in distinct([one.ear.box for one in seen])]
    return sorted(kept, key=lambda one: -one.ear.score)


async def _certain(
    pool: DecodePool,
    engine: Engine,
    trace: Trace,
    photo: Photo,
    ears: Sequence[FoundEar],
    least_likeness: float = LEAST_LIKENESS,
) -> list[SeenEar]:
    """Those that look like ears to the encoder."""
    if not ears:
        return []
    crops = await pool.run(trace, lambda: [crop_of(photo, ear, engine.framing) for ear in ears])
    seen = [SeenEar(*row) for row in zip(ears, crops, await engine.encode(trace, crops), strict=True)]
    seen = [replace(one, likeness=engine.likeness(one.encoded)) for one in seen if one.encoded is not None]
    return [one for one in seen if one.likeness is None or one.likeness >= least_likeness]


def _by_score(ears: Sequence[FoundEar]) -> list[FoundEar]:
    """Each ear once, the most certain first."""
    return _once(sorted(ears, key=lambda ear: -ear.score))


def _once(ears: Sequence[FoundEar]) -> list[FoundEar]:
    return [ears[number] for number in distinct([ear.box for ear in ears])]


def crop_of(photo: Photo, ear: FoundEar, framing: Framing) -> Picture:
    """An ear framed for the model: (S, S, 3) uint8, upright, left orientation."""
    return oriented(turn(frame(photo.part, ear.box, framing), ear.turns), ear.side)


def described(ear: FoundEar, names: Sequence[str]) -> Ear:
    """An ear as it is answered: places in pixels of the upright picture, rounded."""
    labels = names or [f"landmark_{number}" for number in range(len(ear.landmarks))]
    return Ear(
        box=[round(edge, 2) for edge in ear.box],
        score=round(ear.score, 4),
        side=ear.side,
        side_probability=round(ear.side_probability, 4),
        landmarks=[
            Landmark(name, round(float(x), 2), round(float(y), 2), round(float(visibility), 4))
            for name, (x, y), visibility in zip(labels, ear.landmarks, ear.visibility, strict=True)
        ],
    )
