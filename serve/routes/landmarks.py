"""POST /v1/landmarks: a photo -> its ears, each with box, side and landmarks."""

from __future__ import annotations

from fastapi import APIRouter, Request

from bundle.landmarks import FoundEar
from client import models
from client.operations import LANDMARKS
from client.options import LandmarksOptions
from serve.http.responses import Answer
from serve.inference.decode_pool import DecodePool, Photo
from serve.inference.detection import described, seen_ears
from serve.inference.engine import Engine
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import received, serves
from serve.service import attended, service_of

router = APIRouter(tags=["embed"])


@serves(router, LANDMARKS, "embed")
async def landmarks(request: Request) -> Answer:
    """Find the ears in a photo.

    `ears` holds the most certain first, none where there is none. What does not look like an ear to the encoder is left
    out, except where `threshold` is given. Places are in pixels of the upright picture;
    `visibility` is the probability that a landmark is seen rather than covered. 404 where the bundle has no landmarks.
    """
    service, trace = service_of(request), trace_of(request)
    engine = service.use(request).engine
    finder = engine.finder
    engine.check_room_to_find()
    asked = await received(request, LANDMARKS)
    photo, ears = await attended(request, _found(service.decode_pool, engine, trace, asked.picture(), asked.options))
    space_id, bundle_id = engine.ids
    return Answer(
        models.Photo(
            ears=[described(ear, finder.names) for ear in ears],
            width=photo.width,
            height=photo.height,
            space_id=space_id,
            bundle_id=bundle_id,
            timing_ms=trace.timing_ms(),
        )
    )


async def _found(
    pool: DecodePool, engine: Engine, trace: Trace, data: bytes, options: LandmarksOptions
) -> tuple[Photo, list[FoundEar]]:
    async with seen_ears(pool, engine, trace, data, options.get("threshold"), options["tiles"]) as (photo, seen):
        return photo, [one.ear for one in seen]
