"""GET /v1/gallery/drift: is what came in lately unlike what was there before, and is it time to retrain?"""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import APIRouter, Request

from client.gallery_models import Drift
from client.operations import DRIFT
from serve.http.responses import Answer
from serve.inference.reconstruction_drift import advice, quality
from serve.observability.request_context import trace_of
from serve.routes.common import received, serves
from serve.service import attended, service_of

router = APIRouter(tags=["gallery"])


@serves(router, DRIFT, "search")
async def drift(request: Request) -> Answer:
    """The last ears beside a sample of those before: distances, quality, reconstruction, and advice in plain words."""
    from index.drift import NOTHING

    options = (await received(request, DRIFT)).options
    service, trace = service_of(request), trace_of(request)
    active = service.use(request, options.get("space_id"))
    gallery_pool, engine = active.required_pool, active.engine
    job = gallery_pool.run(trace, lambda: gallery_pool.gallery.drift(options["recent"], engine.ids[0]))
    report, sample = await attended(request, job)
    parts = (sample.recent[::-1], sample.earlier)
    late, early = [await quality(gallery_pool, engine, trace, part[: options["redraw"]]) for part in parts]
    service.audit.note(request, "drift", recent=report.recent)
    facts: dict[str, Any] = dataclasses.asdict(report)
    facts["advice"] = [*report.advice, *advice(late, early)] or [NOTHING]
    parts_quality = {"recent": late, "earlier": early}
    return Answer(Drift(**facts, quality=parts_quality, bundle_id=engine.ids[1], timing_ms=trace.timing_ms("index")))
