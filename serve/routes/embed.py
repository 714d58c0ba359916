"""POST /v1/embed: one picture -> its 1024-D embedding."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from serve.errors import BadRequest
from serve.http.multipart import parse_box, read_upload
from serve.http.responses import Answer
from serve.inference.detection import check_detect, found_crop
from serve.inference.quality import assess
from serve.observability.request_context import trace_of
from serve.routes.common import ERRORS, PICTURE_BODY, BoxParam, DetectParam, SideParam, SpaceParam, needs
from serve.service import attended, service_of

router = APIRouter(tags=["embed"], dependencies=[needs("embed")], responses=ERRORS)

EXTRAS = ("mu", "quality", "eigenears")
IncludeParam = Annotated[str, Query(description=f"what to answer besides, of {', '.join(EXTRAS)}; comma separated")]


@router.post("/v1/embed", openapi_extra=PICTURE_BODY, response_class=Answer)
async def embed(
    request: Request,
    side: SideParam = "unknown",
    box: BoxParam = None,
    include: IncludeParam = "",
    detect: DetectParam = False,
    space_id: SpaceParam = None,
) -> Answer:
    """Embed the ear in a picture.

    `embedding` has length 1: compare two by their dot product (cosine). `include=mu` adds the latent that `/v1/decode`
    takes, `include=quality` how usable the picture is, `include=eigenears` where the ear lies along each eigenear, in
    standard deviations (null where the bundle has none). Vectors are in left-ear orientation: a right ear is mirrored.

    `detect=true` takes a whole photo: its most certain ear is framed, its side predicted where it is not given, and
    `box` and `score` say what was found (the bundle must have landmarks).
    """
    wanted = _wanted(include)
    service, trace = service_of(request), trace_of(request)
    engine = service.use(request, space_id).engine
    engine.encoder.check_room()
    ear_box = parse_box(box)
    check_detect(detect, ear_box)
    upload = await read_upload(request)
    found: dict[str, Any] = {}
    if detect:
        crop, ear, side = await attended(request, found_crop(service.intake, engine, trace, upload.data, side))
        found = {"box": ear.box, "score": ear.score}
    else:
        framed = service.intake.crop(trace, upload.data, side, ear_box, engine.framing)
        crop = await attended(request, framed)
    (encoded,) = await attended(request, engine.encode(trace, [crop]))
    space, bundle_id = engine.ids
    answer: dict[str, Any] = {
        "embedding": encoded.embedding,
        "side": side,
        **found,
        "space_id": space,
        "bundle_id": bundle_id,
    }
    if "mu" in wanted:
        answer["mu"] = encoded.mu
    if "eigenears" in wanted:
        answer["eigenears"] = engine.eigenears.coefficients(encoded.mu) if engine.eigenears else None
    if "quality" in wanted:
        (decoded,) = await attended(request, engine.decode(trace, [encoded.mu]))
        quality = await service.intake.run(trace, lambda: assess(crop, decoded, engine.reference))
        answer["quality"] = dataclasses.asdict(quality)
    return Answer({**answer, "timing_ms": trace.timing_ms()})


def _wanted(include: str) -> set[str]:
    wanted = {part.strip() for part in include.split(",") if part.strip()}
    if unknown := wanted - set(EXTRAS):
        raise BadRequest(f"include has {sorted(unknown)}; allowed are {', '.join(EXTRAS)}", "include")
    return wanted
