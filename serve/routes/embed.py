"""POST /v1/embed: one picture -> its 1024-D embedding."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from serve.answers import Answer
from serve.errors import BadRequest
from serve.routes.common import ERRORS, PICTURE_BODY, BoxParam, SideParam, needs
from serve.service import attended, service_of
from serve.trace import trace_of
from serve.uploads import parse_box, read_upload

router = APIRouter(tags=["embed"], dependencies=[needs("embed")], responses=ERRORS)

EXTRAS = ("mu",)
IncludeParam = Annotated[str, Query(description=f"what to answer besides, of {', '.join(EXTRAS)}; comma separated")]


@router.post("/v1/embed", openapi_extra=PICTURE_BODY, response_class=Answer)
async def embed(
    request: Request, side: SideParam = "unknown", box: BoxParam = None, include: IncludeParam = ""
) -> Answer:
    """Embed the ear in a picture.

    `embedding` has length 1: compare two by their dot product (cosine). `mu`, the latent that `/v1/decode` takes,
    comes with `include=mu`. Vectors are in left-ear orientation: a right ear is mirrored first.
    """
    wanted = _wanted(include)
    service, trace = service_of(request), trace_of(request)
    active = service.use(request)
    active.engine.encoder.check_room()
    ear_box = parse_box(box)
    upload = await read_upload(request)
    crop = await service.intake.crop(trace, upload.data, side, ear_box, active.engine.framing)
    (encoded,) = await attended(request, active.engine.encode(trace, [crop]))
    space_id, bundle_id = active.engine.ids
    answer = {"embedding": encoded.embedding, "side": side, "space_id": space_id, "bundle_id": bundle_id}
    if "mu" in wanted:
        answer["mu"] = encoded.mu
    return Answer({**answer, "timing_ms": trace.timing_ms()})


def _wanted(include: str) -> set[str]:
    wanted = {part.strip() for part in include.split(",") if part.strip()}
    if unknown := wanted - set(EXTRAS):
        raise BadRequest(f"include has {sorted(unknown)}; allowed are {', '.join(EXTRAS)}", "include")
    return wanted
