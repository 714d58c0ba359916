"""GET /v1/gallery/duplicates: ears that were enrolled twice, some of the gallery at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from client.gallery_models import Duplicate, Duplicates
from client.operations import DUPLICATES
from index.items import Page
from serve.http.responses import Answer
from serve.observability.request_context import trace_of
from serve.routes.common import received, serves
from serve.routes.items import described
from serve.service import attended, service_of

if TYPE_CHECKING:
    from index.tools.duplicates import Duplicate as Pair

router = APIRouter(tags=["gallery"])


@serves(router, DUPLICATES, "search")
async def duplicates(request: Request) -> Answer:
    """Pairs of the same picture, or of pictures so alike that one is enough, of which one is among the next `limit`
    items. Give `next_cursor` back as `cursor`, until it is null, to look at the whole gallery."""
    options = (await received(request, DUPLICATES)).options
    gallery_pool = service_of(request).use(request).required_pool

    def job() -> tuple[Page, list[Pair]]:
        from index.tools.duplicates import among

        page = gallery_pool.gallery.list(after=options.get("cursor"), limit=options["limit"])
        return page, list(among(gallery_pool.gallery, page.items, options["threshold"]))

    page, pairs = await attended(request, gallery_pool.run(trace_of(request), job))
    service_of(request).audit.note(request, "duplicates", pairs=len(pairs))
    shown = [
        Duplicate(described(pair.earlier), described(pair.later), round(pair.similarity, 6), pair.same_picture)
        for pair in pairs
    ]
    return Answer(Duplicates(shown, len(page.items), page.next_cursor))
