"""GET /v1/gallery/drift: is what came in lately unlike what was there before, and is it time to retrain?"""

from __future__ import annotations

import dataclasses
from typing import Annotated

from fastapi import APIRouter, Query, Request

from serve.http.responses import Answer
from serve.inference.reconstruction_drift import advice, quality
from serve.observability.request_context import trace_of
from serve.routes.common import ERRORS, SpaceParam, needs
from serve.service import attended, service_of

router = APIRouter(tags=["gallery"], dependencies=[needs("search")], responses=ERRORS)

RecentParam = Annotated[int, Query(ge=30, le=5000, description="how many of the last ears are recent")]
RedrawParam = Annotated[int, Query(ge=0, le=64, description="pictures of either part that the model redraws")]


@router.get("/v1/gallery/drift", response_class=Answer)
async def drift(
    request: Request, recent: RecentParam = 200, redraw: RedrawParam = 16, space_id: SpaceParam = None
) -> Answer:
    """The last ears beside a sample of those before: distances, quality, reconstruction, and advice in plain words."""
    from index.drift import NOTHING

    service, trace = service_of(request), trace_of(request)
    active = service.use(request, space_id)
    desk, engine = active.gallery_desk, active.engine
    looked = desk.run(trace, lambda: desk.gallery.drift(recent, engine.ids[0]))
    report, sample = await attended(request, looked)
    late, early = [await quality(desk, engine, trace, some[:redraw]) for some in (sample.recent[::-1], sample.earlier)]
    facts = dataclasses.asdict(report)
    facts["advice"] = [*report.advice, *advice(late, early)] or [NOTHING]
    service.audit.note(request, "drift", recent=report.recent)
    shown = {**facts, "quality": {"recent": late, "earlier": early}, "bundle_id": engine.ids[1]}
    return Answer({**shown, "timing_ms": trace.timing_ms("index")})
