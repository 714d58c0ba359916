"""POST /v1/search: a picture, or a ready vector -> the nearest ears of the gallery."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bundle.image import mirror
from index.items import Filter, Hit
from serve.answers import Answer
from serve.bodies import floats, read_json
from serve.desk import Question
from serve.live import Live
from serve.orientation import Probe, Side, is_mirrored, probes, vector_sides
from serve.routes.common import ERRORS, PICTURE_BODY, BoxParam, SideParam, SpaceParam, needs
from serve.routes.items import shown
from serve.service import attended, service_of
from serve.trace import Trace, trace_of
from serve.uploads import parse_box, read_upload

router = APIRouter(tags=["search"], dependencies=[needs("search")], responses=ERRORS)

MAX_K = 1000


class VectorQuery(BaseModel):
    """A search with a ready vector. `space_id` says which encoder made it; it is compared with no other's."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    embedding: list[float] = Field(min_length=1, max_length=65536)
    space_id: str
    k: int = Field(10, ge=1, le=MAX_K)
    threshold: float | None = Field(None, ge=-1.0, le=1.0)
    side: Side = "unknown"
    subject: str | list[str] = []
    tag: str | list[str] = []
    cross_ear: bool = False


SEARCH_BODY: dict[str, Any] = {
    "requestBody": {
        **PICTURE_BODY["requestBody"],
        "content": {
            **PICTURE_BODY["requestBody"]["content"],
            "application/json": {"schema": VectorQuery.model_json_schema()},
        },
    }
}
KParam = Annotated[int, Query(ge=1, le=MAX_K, description="most hits")]
ThresholdParam = Annotated[float | None, Query(ge=-1.0, le=1.0, allow_inf_nan=False, description="least similarity")]


@router.post("/v1/search", openapi_extra=SEARCH_BODY, response_class=Answer)
async def search(
    request: Request,
    k: KParam = 10,
    threshold: ThresholdParam = None,
    side: SideParam = "unknown",
    box: BoxParam = None,
    subject: Annotated[list[str], Query(description="only ears of these subjects")] = [],  # noqa: B006
    tag: Annotated[list[str], Query(description="only ears with all of these tags")] = [],  # noqa: B006
    cross_ear: Annotated[bool, Query(description="ears of the other side count too")] = False,
    space_id: SpaceParam = None,
) -> Answer:
    """Find the nearest ears, best first.

    Of a known side: ears of that side, and ears of unknown side in both orientations; `cross_ear=true` adds the other
    side. Of unknown side: all ears, both orientations, the better one counts. Similarity is cosine, in [-1, 1].
    """
    service, trace = service_of(request), trace_of(request)
    active = service.use(request, space_id)
    if request.headers.get("content-type", "").startswith("application/json"):
        return await _search_vector(request, trace)
    desk, engine = active.gallery_desk, active.engine
    ear_box = parse_box(box)
    unknown_items = side != "unknown" and await desk.has_unknown_sides(trace)
    asked = probes(side, cross_ear=cross_ear, unknown_items=unknown_items)
    engine.encoder.check_room(len(asked))
    upload = await read_upload(request)
    crop = await service.intake.crop(trace, upload.data, side, ear_box, engine.framing)
    own = is_mirrored(side)  # how `crop` already lies
    crops = [crop if probe.mirrored == own else mirror(crop) for probe in asked]
    encoded = await attended(request, engine.encode(trace, crops))
    queries = [(probe, one.embedding) for probe, one in zip(asked, encoded, strict=True)]
    question = Question(k, threshold, Filter(subjects=tuple(subject), tags=tuple(tag)))
    return await _answer(request, active, trace, queries, question)


async def _search_vector(request: Request, trace: Trace) -> Answer:
    query = await read_json(request, VectorQuery)
    active = service_of(request).use(request, query.space_id)
    question = Question(query.k, query.threshold, Filter(subjects=_listed(query.subject), tags=_listed(query.tag)))
    probe = Probe(mirrored=False, sides=vector_sides(query.side, cross_ear=query.cross_ear))
    return await _answer(request, active, trace, [(probe, floats(query.embedding))], question)


async def _answer(
    request: Request, active: Live, trace: Trace, queries: list[tuple[Probe, NDArray[np.float32]]], question: Question
) -> Answer:
    desk, (space_id, bundle_id) = active.gallery_desk, active.engine.ids
    hits = await desk.search(trace, queries, space_id, question)
    service_of(request).audit.note(request, "search", found=[hit.item.id for hit in hits])
    body = {
        "hits": [_shown(rank, hit) for rank, hit in enumerate(hits, start=1)],
        "searched": desk.gallery.count(),
        "space_id": space_id,
        "bundle_id": bundle_id,
        "timing_ms": trace.timing_ms("index"),
    }
    return Answer(body)


def _shown(rank: int, hit: Hit) -> dict[str, Any]:
    item = shown(hit.item)
    named = {key: item[key] for key in ("subject", "side", "tags", "source", "created", "image_url")}
    return {"rank": rank, "item_id": hit.item.id, "similarity": round(hit.similarity, 6), **named}


def _listed(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
