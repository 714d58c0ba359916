"""POST /v1/explain: a picture and a stored ear -> why they are near or far."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from bundle.image import Picture, mirror, to_png
from client import models
from client.gallery_models import Explanation
from client.operations import EXPLAIN
from index.items import Vectors
from serve.http.responses import Answer
from serve.inference.encoded import Encoded
from serve.inference.engine import Engine
from serve.inference.explanation import Component, explain, morph
from serve.inference.framed_ears import check_room, ears_asked_for
from serve.inference.orientation import is_mirrored
from serve.inference.verification import best_pair
from serve.observability.request_context import trace_of
from serve.routes.common import received, serves
from serve.routes.items import described, stored_vectors
from serve.service import attended, service_of

router = APIRouter(tags=["search"])


@serves(router, EXPLAIN, "search")
async def explain_match(request: Request) -> Answer:
    """Explain a match: similarity, eigenears on which both agree or differ, both reconstructions, a morph between them.

    All pictures are in left orientation. `difference` is bright where the two reconstructions differ.
    """
    asked = await received(request, EXPLAIN)
    options, service, trace = asked.options, service_of(request), trace_of(request)
    active = service.use(request)
    engine, item_id = active.engine, options["item"]
    check_room(engine, 1, options["detect"])
    stored, vectors = await stored_vectors(active, trace, item_id)
    work = ears_asked_for(service.decode_pool, engine, trace, asked.picture(), options)
    framed = await attended(request, work)
    ear = framed.first
    # The stored vector cannot be turned: where a side is unknown, the query is compared in both orientations.
    turns = (False,) if stored.side and ear.side != "unknown" else (False, True)
    encoded = await attended(request, engine.encode(trace, [mirror(ear.crop) if t else ear.crop for t in turns]))
    similarity, best, _ = best_pair([one.embedding for one in encoded], [vectors.embedding])
    pictures = await attended(request, engine.decode(trace, morph(encoded[best].mu, vectors.mu, options["steps"])))
    drawn = await service.decode_pool.draw(trace, lambda: _drawn(pictures))
    service.audit.note(request, "explain", item=item_id)
    space_id, bundle_id = engine.ids
    return Answer(
        Explanation(
            item=described(stored),
            similarity=round(similarity, 6),
            query_mirrored=turns[best] != is_mirrored(ear.side),
            space_id=space_id,
            bundle_id=bundle_id,
            timing_ms=trace.timing_ms("index"),
            **_components(engine, encoded[best], vectors),
            **drawn,
            **framed.detected(),
        )
    )


def _components(engine: Engine, query: Encoded, item: Vectors) -> dict[str, Any]:
    if engine.eigenears is None:
        return {"agree": None, "differ": None}
    explained = explain(engine.eigenears, query.mu, item.mu)
    return {
        "agree": [_described(one) for one in explained.agree],
        "differ": [_described(one) for one in explained.differ],
    }


def _described(component: Component) -> models.Component:
    values = (round(value, 4) for value in (component.query, component.item, component.share))
    return models.Component(component.index, *values)


def _drawn(pictures: list[Picture]) -> dict[str, Any]:
    """Both reconstructions, where they differ, and the strip of pictures between them."""
    first, last = pictures[0], pictures[-1]
    gap = np.abs(first.astype(np.int32) - last.astype(np.int32)).max(axis=2, keepdims=True)
    brightest = max(1, int(gap.max()))
    difference = np.broadcast_to((gap * 255 // brightest).astype(np.uint8), first.shape)
    morphed = [to_png(picture) for picture in pictures]
    return {
        "query_image": morphed[0],
        "item_image": morphed[-1],
        "difference": to_png(difference),
        "morph": morphed,
    }
