"""POST /v1/explain: a picture and a stored ear -> why they are near or far."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request

from bundle.image import Picture, mirror, to_png
from index.items import Vectors
from serve.errors import NotHere
from serve.http.multipart import parse_box, read_upload
from serve.http.responses import Answer, data_uri
from serve.inference.engine import Encoded, Engine
from serve.inference.explanation import Component, explain, morph
from serve.inference.verification import best_pair, orientations
from serve.observability.request_context import trace_of
from serve.routes.common import ERRORS, PICTURE_BODY, BoxParam, SideParam, needs
from serve.routes.items import shown
from serve.service import attended, service_of

router = APIRouter(tags=["search"], dependencies=[needs("search")], responses=ERRORS)

ItemParam = Annotated[str, Query(max_length=64, description="id of the stored ear to compare with")]
StepsParam = Annotated[int, Query(ge=2, le=16, description="pictures on the way from the query to the item")]


@router.post("/v1/explain", openapi_extra=PICTURE_BODY, response_class=Answer)
async def explain_match(
    request: Request, item: ItemParam, side: SideParam = "unknown", box: BoxParam = None, steps: StepsParam = 7
) -> Answer:
    """Explain a match: similarity, eigenears on which both agree or differ, both reconstructions, a morph between them.

    All pictures are in left orientation. `difference` is bright where the two reconstructions differ.
    """
    service, trace = service_of(request), trace_of(request)
    active = service.use(request)
    engine, desk = active.engine, active.gallery_desk
    ear_box = parse_box(box)
    upload = await read_upload(request)
    stored = await desk.run(trace, lambda: desk.gallery.get(item))
    vectors = await desk.run(trace, lambda: desk.gallery.vectors(item, engine.ids[0]))
    if vectors is None:
        raise NotHere(f"item {item!r} has no vectors in space {engine.ids[0]} yet")
    framed = service.intake.crop(trace, upload.data, "unknown", ear_box, engine.framing)
    crop = await attended(request, framed)
    # The stored vector cannot be turned: where its side is unknown, the query is compared in both orientations.
    turns = orientations(side) if stored.side else (False, True)
    sent = [mirror(crop) if turn else crop for turn in turns]
    encoded = await attended(request, engine.encode(trace, sent))
    similarity, best, _ = best_pair([one.embedding for one in encoded], [vectors.embedding])
    pictures = await attended(request, engine.decode(trace, morph(encoded[best].mu, vectors.mu, steps)))
    drawn = await service.intake.draw(trace, lambda: _drawn(pictures))
    service.audit.note(request, "explain", item=item)
    space_id, bundle_id = engine.ids
    body = {"item": shown(stored), "similarity": round(similarity, 6), "query_mirrored": turns[best]}
    told = {**body, **_components(engine, encoded[best], vectors), **drawn}
    return Answer({**told, "space_id": space_id, "bundle_id": bundle_id, "timing_ms": trace.timing_ms("index")})


def _components(engine: Engine, query: Encoded, item: Vectors) -> dict[str, Any]:
    if engine.eigenears is None:
        return {"agree": None, "differ": None}
    told = explain(engine.eigenears, query.mu, item.mu)
    return {"agree": [_shown(one) for one in told.agree], "differ": [_shown(one) for one in told.differ]}


def _shown(component: Component) -> dict[str, float]:
    values = {"query": component.query, "item": component.item, "share": component.share}
    return {"component": component.index, **{name: round(value, 4) for name, value in values.items()}}


def _drawn(pictures: list[Picture]) -> dict[str, Any]:
    """Both reconstructions, where they differ, and the strip of pictures between them."""
    first, last = pictures[0], pictures[-1]
    gap = np.abs(first.astype(np.int32) - last.astype(np.int32)).max(axis=2, keepdims=True)
    brightest = max(1, int(gap.max()))
    difference = np.broadcast_to((gap * 255 // brightest).astype(np.uint8), first.shape)
    morphed = [data_uri(to_png(picture)) for picture in pictures]
    return {
        "query_image": morphed[0],
        "item_image": morphed[-1],
        "difference": data_uri(to_png(difference)),
        "morph": morphed,
    }
