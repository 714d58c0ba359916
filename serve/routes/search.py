"""POST /v1/search: a picture, or ready vectors -> the nearest ears of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bundle.image import mirror
from index.items import Filter, Hit, SubjectHit
from serve.errors import BadRequest
from serve.http.json_body import floats, read_json
from serve.http.multipart import parse_box, read_upload
from serve.http.responses import Answer
from serve.inference.detection import check_detect, found_crop
from serve.inference.gallery_pool import Desk, Question
from serve.inference.orientation import Probe, Side, is_mirrored, probes, vector_sides
from serve.lifecycle.model_registry import Live
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import ERRORS, PICTURE_BODY, BoxParam, DetectParam, SideParam, SpaceParam, needs
from serve.routes.items import shown
from serve.service import attended, service_of

router = APIRouter(tags=["search"], dependencies=[needs("search")], responses=ERRORS)

MAX_K = 1000
MAX_PER_SUBJECT = 100
Group = Literal["item", "subject"]
Found = Sequence[Hit | SubjectHit]


class VectorQuery(BaseModel):
    """A search with ready vectors: `embedding`, one, or `embeddings`, several, each answered by itself.

    `space_id` says which encoder made them; they are compared with no other's.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    embedding: list[float] | None = Field(None, min_length=1, max_length=65536)
    embeddings: list[list[float]] | None = Field(None, min_length=1, description="as many as pictures in one request")
    space_id: str
    k: int = Field(10, ge=1, le=MAX_K)
    threshold: float | None = Field(None, ge=-1.0, le=1.0)
    side: Side = "unknown"
    subject: str | list[str] = []
    tag: str | list[str] = []
    cross_ear: bool = False
    group: Group = "item"
    per_subject: int = Field(1, ge=1, le=MAX_PER_SUBJECT)


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
    group: Annotated[Group, Query(description="subject: each person once, with the nearest of their ears")] = "item",
    per_subject: Annotated[int, Query(ge=1, le=MAX_PER_SUBJECT, description="ears of each subject that are told")] = 1,
    detect: DetectParam = False,
    space_id: SpaceParam = None,
) -> Answer:
    """Find the nearest ears, best first.

    Of a known side: ears of that side, and ears of unknown side in both orientations; `cross_ear=true` adds the other
    side. Of unknown side: all ears, both orientations, the better one counts. Similarity is cosine, in [-1, 1].
    `group=subject` answers `subjects` instead of `hits`: the k nearest persons, `per_subject` ears of each.
    `detect=true` takes a whole photo and searches with its most certain ear; `side`, `box` and `score` say which.
    Ready vectors are sent as JSON; to several of them (`embeddings`) the answer is `results`, one for each, in order.
    """
    service, trace = service_of(request), trace_of(request)
    active = service.use(request, space_id)
    if request.headers.get("content-type", "").startswith("application/json"):
        return await _search_vectors(request, trace)
    desk, engine = active.gallery_desk, active.engine
    ear_box = parse_box(box)
    check_detect(detect, ear_box)
    asked = await _probes(desk, trace, side, cross_ear)
    engine.encoder.check_room(len(asked))
    upload = await read_upload(request)
    seen: dict[str, Any] = {}
    if detect:
        crop, ear, side = await attended(request, found_crop(service.intake, engine, trace, upload.data, side))
        seen = {"side": side, "box": ear.box, "score": ear.score}
        asked = await _probes(desk, trace, side, cross_ear)
    else:
        framed = service.intake.crop(trace, upload.data, side, ear_box, engine.framing)
        crop = await attended(request, framed)
    own = is_mirrored(side)  # how `crop` already lies
    crops = [crop if probe.mirrored == own else mirror(crop) for probe in asked]
    encoded = await attended(request, engine.encode(trace, crops))
    queries = [(probe, one.embedding) for probe, one in zip(asked, encoded, strict=True)]
    question = Question(k, threshold, Filter(subjects=tuple(subject), tags=tuple(tag)), per_subject)
    if group == "subject":
        persons = await attended(request, desk.search_subjects(trace, queries, engine.ids[0], question))
        return await _answer(request, active, trace, [persons], {**seen, **_told(persons, group)})
    hits = await attended(request, desk.search(trace, queries, engine.ids[0], question))
    return await _answer(request, active, trace, [hits], {**seen, **_told(hits, group)})


async def _probes(desk: Desk, trace: Trace, side: Side, cross_ear: bool) -> tuple[Probe, ...]:
    unknown_items = side != "unknown" and await desk.has_unknown_sides(trace)
    return probes(side, cross_ear=cross_ear, unknown_items=unknown_items)


async def _search_vectors(request: Request, trace: Trace) -> Answer:
    service = service_of(request)
    query = await read_json(request, VectorQuery)
    active = service.use(request, query.space_id)
    desk, space_id = active.gallery_desk, active.engine.ids[0]
    vectors = _vectors(query, active.engine.model.latent_dim, service.settings.max_inputs)
    sides = vector_sides(query.side, cross_ear=query.cross_ear)
    asked = Filter(subjects=_listed(query.subject), sides=sides, tags=_listed(query.tag))
    question = Question(query.k, query.threshold, asked, query.per_subject)
    found: Sequence[Found]
    if query.group == "subject":
        found = await attended(request, desk.search_subjects_vectors(trace, vectors, space_id, question))
    else:
        found = await attended(request, desk.search_vectors(trace, vectors, space_id, question))
    told = [_told(one, query.group) for one in found]
    return await _answer(request, active, trace, found, told[0] if query.embeddings is None else {"results": told})


def _vectors(query: VectorQuery, dim: int, most: int) -> NDArray[np.float32]:
    """What is asked about: (Q, D) float32. Raises BadRequest."""
    if (query.embedding is None) == (query.embeddings is None):
        raise BadRequest("give exactly one of embedding (a vector) and embeddings (a list of vectors)", "embedding")
    if query.embeddings is None:
        return floats(query.embedding or [])[None]
    if len(query.embeddings) > most:
        raise BadRequest(f"{len(query.embeddings)} vectors in one request; at most {most}", "embeddings")
    for number, row in enumerate(query.embeddings):
        if len(row) != dim:
            raise BadRequest(f"embeddings[{number}] has {len(row)} numbers; this space's have {dim}", "embeddings")
    return np.stack([floats(row) for row in query.embeddings])


async def _answer(request: Request, active: Live, trace: Trace, found: Sequence[Found], told: dict[str, Any]) -> Answer:
    """found: of each query. told: the part of the answer that shows it."""
    hits = [hit for some in found for one in some for hit in (one.hits if isinstance(one, SubjectHit) else (one,))]
    service_of(request).audit.note(request, "search", found=[hit.item.id for hit in hits])
    desk, (space_id, bundle_id) = active.gallery_desk, active.engine.ids
    body = {
        **told,
        "searched": await desk.run(trace, desk.gallery.count),
        "space_id": space_id,
        "bundle_id": bundle_id,
        "timing_ms": trace.timing_ms("index"),
    }
    return Answer(body)


def _told(found: Found, group: Group) -> dict[str, Any]:
    return {
        "subjects" if group == "subject" else "hits": [_shown(rank, one) for rank, one in enumerate(found, start=1)]
    }


def _shown(rank: int, found: Hit | SubjectHit) -> dict[str, Any]:
    if isinstance(found, SubjectHit):
        hits = [_shown(place, hit) for place, hit in enumerate(found.hits, start=1)]
        return {"rank": rank, "subject": found.subject, "similarity": round(found.similarity, 6), "hits": hits}
    item = shown(found.item)
    named = {key: item[key] for key in ("subject", "side", "tags", "source", "created", "image_url")}
    return {"rank": rank, "item_id": found.item.id, "similarity": round(found.similarity, 6), **named}


def _listed(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
