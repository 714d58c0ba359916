"""POST /v1/verify: two pictures -> are they one ear?"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from bundle.errors import ImageError
from bundle.framing import Box, Framing
from bundle.image import Picture, mirror
from serve.errors import BadRequest
from serve.http.image_inputs import Remote, picture_sources
from serve.http.json_body import read_json
from serve.http.multipart import Upload, is_form, parse_box, read_uploads
from serve.http.responses import Answer
from serve.inference.verification import best_pair, compared, judge
from serve.lifecycle.model_registry import Live
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import ERRORS, SideParam, needs
from serve.service import Service, attended, service_of

router = APIRouter(tags=["search"], dependencies=[needs("embed")], responses=ERRORS)

FarParam = Annotated[
    float, Query(gt=0, lt=1, description="false-accept rate of the threshold; an unknown side doubles the decision's")
]


class VerifyRequest(BaseModel):
    """Two pictures as JSON: data URI, raw base64, or any other shape that /v1/embeddings takes."""

    model_config = ConfigDict(extra="forbid")

    a: Any = Field(description="a picture")
    b: Any = Field(description="a picture")
    box_a: str | None = None
    box_b: str | None = None


FORM = {
    "type": "object",
    "required": ["a", "b"],
    "properties": {
        "a": {"type": "string", "format": "binary"},
        "b": {"type": "string", "format": "binary"},
        "box_a": {"type": "string", "description": "ear box x1,y1,x2,y2 in pixels"},
        "box_b": {"type": "string", "description": "ear box x1,y1,x2,y2 in pixels"},
    },
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": FORM},
            "application/json": {"schema": VerifyRequest.model_json_schema()},
        },
    }
}


@router.post("/v1/verify", openapi_extra=BODY, response_class=Answer)
async def verify(
    request: Request, side_a: SideParam = "unknown", side_b: SideParam = "unknown", far: FarParam = 0.01
) -> Answer:
    """Compare two ears: similarity, the probability that they are one, and a decision at a stated false-accept rate.

    Probability and decision come from the bundle's calibration and are null where it has none. Where a side is unknown,
    both orientations are compared and the better one counts: the answer's `far` is then twice the rate asked for, an
    upper bound, and `probability` and `tar` are lower bounds.
    """
    service, trace = service_of(request), trace_of(request)
    active = service.use(request)
    first, second = await _uploads(service, request)
    turns = compared(side_a, side_b)
    active.engine.encoder.check_room(len(turns[0]) + len(turns[1]))
    similarity = await attended(request, _similarity(service, active, trace, (first, second), turns))
    verdict = judge(similarity, active.calibration, far, comparisons=len(turns[0]) * len(turns[1]))
    space_id, bundle_id = active.engine.ids
    body = {"similarity": round(similarity, 6), **dataclasses.asdict(verdict), "sides": [side_a, side_b]}
    return Answer({**body, "space_id": space_id, "bundle_id": bundle_id, "timing_ms": trace.timing_ms()})


async def _uploads(service: Service, request: Request) -> tuple[Upload, Upload]:
    if is_form(request):
        first, second = await read_uploads(request, ("a", "b"))
        return first, second
    asked = await read_json(request, VerifyRequest)
    files = await asyncio.gather(*(_file(service, getattr(asked, name), name) for name in ("a", "b")))
    fields = {name: [box] for name in ("box_a", "box_b") if (box := getattr(asked, name))}
    return Upload(files[0], fields), Upload(files[1], fields)


async def _file(service: Service, given: Any, name: str) -> bytes:
    ((_, source),) = picture_sources({"input": None if isinstance(given, list) else given})
    try:
        return await service.fetcher.fetch(source.url) if isinstance(source, Remote) else source
    except BadRequest as error:
        raise BadRequest(f"{name} {error}", name) from None


async def _similarity(
    service: Service,
    active: Live,
    trace: Trace,
    uploads: tuple[Upload, Upload],
    turns: tuple[tuple[bool, ...], tuple[bool, ...]],
) -> float:
    engine = active.engine
    boxes = [parse_box(upload.text(f"box_{name}"), f"box_{name}") for upload, name in zip(uploads, "ab", strict=True)]
    crops = await asyncio.gather(
        *(
            _crop(service, trace, engine.framing, name, upload.data, box)
            for name, upload, box in zip("ab", uploads, boxes, strict=True)
        )
    )
    sent = [mirror(crop) if turn else crop for crop, way in zip(crops, turns, strict=True) for turn in way]
    vectors = [one.embedding for one in await engine.encode(trace, sent)]
    split = len(turns[0])
    return best_pair(vectors[:split], vectors[split:])[0]


async def _crop(service: Service, trace: Trace, framing: Framing, name: str, data: bytes, box: Box | None) -> Picture:
    try:
        return await service.intake.crop(trace, data, "unknown", box, framing)
    except ImageError as error:
        raise type(error)(f"{name}: {error}") from None
