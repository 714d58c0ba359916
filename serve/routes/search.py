"""POST /v1/search: a picture, or ready vectors -> the nearest ears of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray

from bundle.image import mirror
from client import models
from client.operations import SEARCH
from client.options import SearchOptions, Side
from index.items import Filter, Hit, SubjectHit
from serve.errors import BadRequest
from serve.http.responses import Answer
from serve.inference.framed_ears import FramedEar, check_room, ears_asked_for, encoded_ears
from serve.inference.gallery_pool import GalleryPool, GalleryQuery
from serve.inference.orientation import Probe, is_mirrored, probes, shown_side, vector_sides
from serve.lifecycle.model_registry import ServedModel
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import Received, limits_of, received, serves
from serve.routes.items import described, stored_vectors
from serve.service import attended, service_of

router = APIRouter(tags=["search"])

ProbeVector = tuple[Probe, NDArray[np.float32]]
Found = Sequence[Hit | SubjectHit]
"""The answer to one query: ears, or persons with theirs."""


@serves(router, SEARCH, "search")
async def search(request: Request) -> Answer:
    """Find the nearest ears, best first.

    Of a known side: ears of that side, and ears of unknown side in both orientations; `cross_ear=true` adds the other
    side. Of unknown side: all ears, in the orientation in which the encoder is surer of the ear (`side` and
    `side_probability` say which), or where the bundle does not tell that, in both. Similarity is cosine, in [-1, 1].
    `centred=true` compares vectors less the gallery's mean; it is the default where the gallery's calibration is so.
    `group=subject` fills `subjects` instead of `hits`: the k nearest persons, `per_subject` ears of each.
    `detect=true` takes a whole photo and searches with its most certain ear; `side`, `box` and `score` say which;
    `detect=all` adds `ears`, the answer to each. Ready vectors are sent as JSON; to several of them (`embeddings`) the
    answer is `results`, one for each, in order. `item` searches with a stored ear, as of its side, and leaves it out.
    """
    asked = await received(request, SEARCH)
    active = service_of(request).use(request, asked.options.get("space_id"))
    if "item" in asked.options:
        return await _search_item(request, active, asked)
    if "embedding" in asked.options or "embeddings" in asked.options:
        return await _search_vectors(request, active, asked)
    return await _search_picture(request, active, asked)


async def _search_picture(request: Request, active: ServedModel, asked: Received[SearchOptions]) -> Answer:
    service, trace, options = service_of(request), trace_of(request), asked.options
    engine, side, detect = active.engine, options["side"], options["detect"]
    check_room(engine, 1 if side != "unknown" else 2, detect)
    limits = limits_of(options)
    work = ears_asked_for(service.decode_pool, engine, trace, asked.picture(), options, limits=limits)
    framed = await attended(request, work)
    question = await _question(active, trace, options, _filter(options))
    neighbours = [await _nearest(request, active, trace, ear, question, options) for ear in framed.ears]
    shown: dict[str, Any] = {**_shown(neighbours[0]), **framed.detected()}
    if detect or framed.first.guess is not None:
        shown["side"] = framed.first.side
    if detect == "all":
        pairs = zip(framed.ears, neighbours, strict=True)
        shown["ears"] = [models.EarNeighbours(**ear.place(), **_shown(one)) for ear, one in pairs]
    return await _answer(request, active, trace, neighbours, question, shown)


async def _nearest(
    request: Request,
    active: ServedModel,
    trace: Trace,
    ear: FramedEar,
    question: GalleryQuery,
    options: SearchOptions,
) -> Found:
    """The nearest of one ear, over the orientations in which it may lie."""
    pool, engine = active.required_pool, active.engine
    own = is_mirrored(ear.side)  # how the crop already lies
    # A guessed side says how the ear lies, not which ears it may meet: stored ones lie as the same rule says.
    guessed = ear.guess is not None
    asked = (Probe(own),) if guessed else await _probes(pool, trace, ear.side, options["cross_ear"])
    turned = replace(ear, crop=mirror(ear.crop), encoded=None)
    ears = [ear if probe.mirrored == own else turned for probe in asked]
    encoded = await attended(request, encoded_ears(engine, trace, ears))
    queries = [(probe, one.embedding) for probe, one in zip(asked, encoded, strict=True)]
    return await _asked(request, active, trace, queries, question, options)


async def _asked(
    request: Request,
    active: ServedModel,
    trace: Trace,
    queries: Sequence[ProbeVector],
    question: GalleryQuery,
    options: SearchOptions,
) -> Found:
    pool, space_id = active.required_pool, active.engine.ids[0]
    if options["group"] == "subject":
        return await attended(request, pool.search_subjects(trace, queries, space_id, question))
    return await attended(request, pool.search(trace, queries, space_id, question))


async def _search_item(request: Request, active: ServedModel, asked: Received[SearchOptions]) -> Answer:
    """With the stored vector; with its picture mirrored too, where ears may lie the other way round."""
    service, trace, options = service_of(request), trace_of(request), asked.options
    engine, pool, item_id = active.engine, active.required_pool, options["item"]
    beside = [name for name in ("box", "embedding", "embeddings") if name in options] + list(asked.pictures)
    beside += [name for name in ("side", "detect", "tiles") if options[name] not in ("unknown", False)]
    if beside:
        raise BadRequest(f"a search with a stored ear takes no {beside[0]}; give one or the other", beside[0])
    item, stored = await stored_vectors(active, trace, item_id)
    side = shown_side(item.side)
    queries = []
    lies_as_others = side == "unknown" and engine.has_spread  # all by the encoder's certainty
    for probe in (Probe(False),) if lies_as_others else await _probes(pool, trace, side, options["cross_ear"]):
        vector = stored.embedding
        if probe.mirrored != is_mirrored(side):
            file = await pool.run(trace, lambda: pool.gallery.crop(item_id))
            crop = await service.decode_pool.crop(trace, file, side, item.box, engine.framing)
            vector = (await attended(request, engine.encode(trace, [mirror(crop)])))[0].embedding
        queries.append((probe, vector))
    question = await _question(active, trace, options, _filter(options))
    neighbours = await _asked(request, active, trace, queries, question, options)
    return await _answer(request, active, trace, [neighbours], question, _shown(neighbours))


async def _probes(pool: GalleryPool, trace: Trace, side: Side, cross_ear: bool) -> tuple[Probe, ...]:
    unknown_items = side != "unknown" and await pool.has_unknown_sides(trace)
    return probes(side, cross_ear=cross_ear, unknown_items=unknown_items)


async def _search_vectors(request: Request, active: ServedModel, asked: Received[SearchOptions]) -> Answer:
    trace, options = trace_of(request), asked.options
    if "space_id" not in options:
        raise BadRequest("space_id is missing; it says which encoder made the vectors", "space_id")
    if beside := [name for name in ("box", "file") if name in options or name in asked.pictures]:
        raise BadRequest(f"a search with ready vectors takes no {beside[0]}; give one or the other", beside[0])
    pool, space_id = active.required_pool, active.engine.ids[0]
    vectors = _vectors(options, active.engine.model.latent_dim, service_of(request).settings.max_inputs)
    sides = vector_sides(options["side"], cross_ear=options["cross_ear"])
    question = await _question(active, trace, options, replace(_filter(options), sides=sides))
    neighbours: Sequence[Found]
    if options["group"] == "subject":
        neighbours = await attended(request, pool.search_subjects_vectors(trace, vectors, space_id, question))
    else:
        neighbours = await attended(request, pool.search_vectors(trace, vectors, space_id, question))
    several = {"results": [models.Neighbours(**_shown(one)) for one in neighbours]}
    return await _answer(
        request, active, trace, neighbours, question, several if "embeddings" in options else _shown(neighbours[0])
    )


def _filter(options: SearchOptions) -> Filter:
    return Filter(
        subjects=tuple(options["subject"]),
        tags=tuple(options["tag"]),
        exclude_subjects=tuple(options["exclude_subject"]),
        exclude_item_ids=(options["item"],) if "item" in options else (),
    )


async def _question(active: ServedModel, trace: Trace, options: SearchOptions, asked: Filter) -> GalleryQuery:
    mean = await active.required_pool.centre(trace, active.engine.ids[0], options.get("centred"))
    return GalleryQuery(options["k"], options.get("threshold"), asked, options["per_subject"], mean)


def _vectors(options: SearchOptions, dim: int, most: int) -> NDArray[np.float32]:
    """What is searched for: (Q, D) float32. Raises BadRequest."""
    if "embedding" in options and "embeddings" in options:
        raise BadRequest("give exactly one of embedding (a vector) and embeddings (a list of vectors)", "embedding")
    if "embeddings" not in options:
        return options["embedding"][None]
    if len(options["embeddings"]) > most:
        raise BadRequest(f"{len(options['embeddings'])} vectors in one request; at most {most}", "embeddings")
    for number, row in enumerate(options["embeddings"]):
        if len(row) != dim:
            raise BadRequest(f"embeddings[{number}] has {len(row)} numbers; this space's have {dim}", "embeddings")
    return np.stack(options["embeddings"])


async def _answer(
    request: Request,
    active: ServedModel,
    trace: Trace,
    neighbours: Sequence[Found],
    question: GalleryQuery,
    shown: dict[str, Any],
) -> Answer:
    """neighbours: of each query. shown: the part of the answer that lists it."""
    hits = [hit for some in neighbours for one in some for hit in (one.hits if isinstance(one, SubjectHit) else (one,))]
    service_of(request).audit.note(request, "search", found=[hit.item.id for hit in hits])
    pool, (space_id, bundle_id) = active.required_pool, active.engine.ids
    searched = await pool.run(trace, pool.gallery.count)
    timing_ms = trace.timing_ms("index")
    return Answer(
        models.SearchAnswer(
            searched=searched,
            centred=question.mean is not None,
            space_id=space_id,
            bundle_id=bundle_id,
            timing_ms=timing_ms,
            **shown,
        )
    )


def _shown(neighbours: Found) -> dict[str, Any]:
    """The fields of `client.models.Neighbours`."""
    persons = [one for one in neighbours if isinstance(one, SubjectHit)]
    hits = [one for one in neighbours if isinstance(one, Hit)]
    return {"hits": _hits(hits), "subjects": [_person(rank, one) for rank, one in enumerate(persons, start=1)]}


def _person(rank: int, person: SubjectHit) -> models.SubjectHit:
    return models.SubjectHit(rank, person.subject, round(person.similarity, 6), _hits(person.hits))


def _hits(hits: Sequence[Hit]) -> list[models.Hit]:
    return [_hit(rank, hit) for rank, hit in enumerate(hits, start=1)]


def _hit(rank: int, hit: Hit) -> models.Hit:
    item = described(hit.item)
    return models.Hit(
        rank=rank,
        item_id=item.id,
        subject=item.subject,
        side=item.side,
        similarity=round(hit.similarity, 6),
        tags=item.tags,
        source=item.source,
        created=item.created,
        image_url=item.image_url,
    )
