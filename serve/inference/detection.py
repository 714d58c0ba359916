"""Ears in photos, for routes: a posted picture -> what the bundle's detector finds in it, and as it is answered.

Knows the decode pool and the engine; knows neither the gallery nor how a photo is looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bundle.landmarks import FoundEar
from client.models import Ear, Landmark
from serve.inference.decode_pool import DecodePool, Photo
from serve.inference.engine import Engine
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
