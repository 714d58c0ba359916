"""Ears in photos, for routes: a posted picture -> what the bundle's detector finds in it, and as JSON.

Knows the decode pool and the engine; knows neither the gallery nor how a photo is looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bundle.framing import Box
from bundle.image import Picture, frame
from bundle.landmarks import FoundEar
from serve.errors import BadRequest
from serve.inference.decode_pool import DecodePool, Photo, oriented
from serve.inference.engine import Engine
from serve.inference.orientation import Side
from serve.observability.request_context import Trace


@asynccontextmanager
async def found_ears(
    pool: DecodePool, engine: Engine, trace: Trace, data: bytes, threshold: float | None = None
) -> AsyncIterator[tuple[Photo, list[FoundEar]]]:
    """A photo, of which a bounded copy is in memory until the end, and its ears, the most certain first.

    threshold: least score of an ear; None: the bundle's.
    Raises NotHere where the bundle has no landmarks, and what decoding and the queue raise.
    """
    least = engine.finder.threshold if threshold is None else threshold
    async with pool.photo(trace, data, engine.framing) as photo:
        (ears,) = await engine.find(trace, [photo.square])
        yield photo, [ear for ear in ears if ear.score >= least]


def check_detect(detect: bool, box: Box | None) -> None:
    """Raise BadRequest where a box is given and is to be found as well."""
    if detect and box is not None:
        raise BadRequest("detect=true finds the box itself; give one or the other", "detect")


async def found_crop(
    pool: DecodePool, engine: Engine, trace: Trace, data: bytes, side: Side
) -> tuple[Picture, FoundEar, Side]:
    """The most certain ear of a photo as the model's crop in left orientation, and the side it was taken for.

    side: of the ear where the caller knows it; unknown: the detector's word is taken.
    Raises BadRequest where there is no ear.
    """
    async with found_ears(pool, engine, trace, data) as (photo, ears):
        if not ears:
            raise BadRequest("no ear was found in the picture; give its box, or a picture that shows an ear", "detect")
        shown: Side = ears[0].side if side == "unknown" else side
        crop = await pool.run(trace, lambda: oriented(frame(photo.part, ears[0].box, engine.framing), shown))
        return crop, ears[0], shown


def described(ear: FoundEar, names: Sequence[str]) -> dict[str, Any]:
    """An ear as JSON: places in pixels of the upright picture."""
    labels = names or [f"landmark_{number}" for number in range(len(ear.landmarks))]
    return {
        "box": [round(edge, 2) for edge in ear.box],
        "score": round(ear.score, 4),
        "side": ear.side,
        "side_probability": round(ear.side_probability, 4),
        "landmarks": [
            {"name": name, "x": round(float(x), 2), "y": round(float(y), 2), "visibility": round(float(seen), 4)}
            for name, (x, y), seen in zip(labels, ear.landmarks, ear.visibility, strict=True)
        ],
    }
