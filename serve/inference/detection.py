"""Ears in photos, for routes: a posted picture -> what the bundle's detector finds in it, and as it is answered.

The detector proposes, the encoder's landmarks decide: what they are unsure of is passed over (a cascade, as in Viola &
Jones 2001). Knows the decode pool and the engine; knows neither the gallery nor how a photo is looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bundle.framing import Framing
from bundle.image import Picture, frame
from bundle.landmarks import FoundEar
from client.models import Ear, Landmark
from serve.inference.decode_pool import DecodePool, Photo, oriented
from serve.inference.encoded import Encoded
from serve.inference.engine import Engine
from serve.observability.request_context import Trace

LEAST_LIKENESS = 0.25
"""Of what the detector takes for an ear, by its landmarks: 99 of 100 held-out rendered ears reach it."""


@dataclass(frozen=True)
class SeenEar:
    """An ear in a photo; where its certainty was asked for, with its crop and what the encoder says of that.

    crop: as `crop_of` frames it.
    """

    ear: FoundEar
    crop: Picture | None = None
    encoded: Encoded | None = None


@asynccontextmanager
async def seen_ears(
    pool: DecodePool, engine: Engine, trace: Trace, data: bytes, threshold: float | None = None
) -> AsyncIterator[tuple[Photo, list[SeenEar]]]:
    """A photo, of which a bounded copy is in memory until the end, and its ears, the most certain first.

    threshold: least score of an ear, which then alone decides; None: the bundle's, and of those the ears whose
    landmarks are certain, where the encoder says how certain they are.
    Raises NotHere where the bundle has no landmarks, and what decoding and the queue raise.
    """
    least = engine.finder.threshold if threshold is None else threshold
    async with pool.photo(trace, data, engine.framing) as photo:
        (ears,) = await engine.find(trace, [photo.square])
        candidates = [ear for ear in ears if ear.score >= least]
        if threshold is None and engine.has_spread and candidates:
            yield photo, await _certain(pool, engine, trace, photo, candidates)
        else:
            yield photo, [SeenEar(ear) for ear in candidates]


async def _certain(
    pool: DecodePool, engine: Engine, trace: Trace, photo: Photo, ears: Sequence[FoundEar]
) -> list[SeenEar]:
    """Those that look like ears to the encoder."""
    crops = await pool.run(trace, lambda: [crop_of(photo, ear, engine.framing) for ear in ears])
    seen = [SeenEar(*row) for row in zip(ears, crops, await engine.encode(trace, crops), strict=True)]
    likeness = [engine.likeness(one.encoded) for one in seen if one.encoded is not None]
    return [one for one, like in zip(seen, likeness, strict=True) if like is None or like >= LEAST_LIKENESS]


def crop_of(photo: Photo, ear: FoundEar, framing: Framing) -> Picture:
    """An ear framed for the model: (S, S, 3) uint8, left orientation."""
    return oriented(frame(photo.part, ear.box, framing), ear.side)


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
