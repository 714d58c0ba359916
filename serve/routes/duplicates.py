"""GET /v1/gallery/duplicates: ears that were enrolled twice, some of the gallery at a time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from serve.http.responses import Answer
from serve.observability.request_context import trace_of
from serve.routes.common import ERRORS, needs
from serve.routes.items import shown
from serve.service import attended, service_of

router = APIRouter(tags=["gallery"], dependencies=[needs("search")], responses=ERRORS)

ThresholdParam = Annotated[float, Query(ge=0.5, le=1.0, allow_inf_nan=False, description="how alike")]
LimitParam = Annotated[int, Query(ge=1, le=500, description="items that are looked at")]


@router.get("/v1/gallery/duplicates", response_class=Answer)
async def duplicates(
    request: Request, threshold: ThresholdParam = 0.99, cursor: str | None = None, limit: LimitParam = 200
) -> Answer:
    """Pairs of the same picture, or of pictures so alike that one is enough, of which one is among the next `limit`
    items. Give `next_cursor` back as `cursor`, until it is null, to look at the whole gallery."""
    desk = service_of(request).use(request).gallery_desk

    def job() -> dict[str, Any]:
        from index.tools.duplicates import among

        page = desk.gallery.list(after=cursor, limit=limit)
        pairs = [
            {
                "earlier": shown(one.earlier),
                "later": shown(one.later),
                "similarity": round(one.similarity, 6),
                "same_picture": one.same_picture,
            }
            for one in among(desk.gallery, page.items, threshold)
        ]
        return {"pairs": pairs, "looked_at": len(page.items), "next_cursor": page.next_cursor}

    found = await attended(request, desk.run(trace_of(request), job))
    service_of(request).audit.note(request, "duplicates", pairs=len(found["pairs"]))
    return Answer(found)
