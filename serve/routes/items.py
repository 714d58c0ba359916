"""/v1/gallery/items and /v1/gallery/subjects: look at enrolled ears and their vectors, change and delete them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from client import gallery_models as answers
from client.operations import CHANGE, DELETE, DELETE_SUBJECT, ITEM, ITEM_IMAGE, ITEM_VECTORS, ITEMS
from client.options import NoOptions, Side
from index.items import Filter, Item, Page, Vectors
from serve.errors import NotHere
from serve.http.openapi import BINARY
from serve.http.parameters import checked
from serve.http.responses import Answer
from serve.inference.framed_ears import encoded_ears, framed_ears
from serve.inference.orientation import is_mirrored, shown_side, stored_side
from serve.lifecycle.dual_write import vectors_elsewhere
from serve.lifecycle.model_registry import ServedModel
from serve.observability.request_context import Trace, prefixed, trace_of
from serve.routes.common import received, serves
from serve.service import Service, service_of

router = APIRouter(tags=["gallery"])

ItemId = Annotated[str, Path(max_length=64, description="id of an item")]
IMAGES = {200: {"content": {kind: {"schema": BINARY} for kind in ("image/png", "image/jpeg")}}}


@serves(router, ITEMS, "search")
async def items(request: Request) -> Answer:
    """List items in the order of enrolment. Give `next_cursor` back as `cursor` for the next page."""
    options = (await received(request, ITEMS)).options
    pool = service_of(request).use(request).required_pool
    sides = tuple(stored_side(side) for side in options["side"])
    asked = Filter(subjects=tuple(options["subject"]), sides=sides, tags=tuple(options["tag"]))

    def job() -> tuple[Page, int]:
        return pool.gallery.list(options.get("cursor"), options["limit"], asked), pool.gallery.count(asked)

    page, total = await pool.run(trace_of(request), job)
    service_of(request).audit.note(request, "list", items=len(page.items))
    return Answer(answers.Page([described(item) for item in page.items], page.next_cursor, total))


@serves(router, ITEM, "search")
async def item(request: Request, item_id: ItemId) -> Answer:
    """One item."""
    await received(request, ITEM)
    active = service_of(request).use(request)
    pool = active.required_pool
    stored = await pool.run(trace_of(request), lambda: pool.gallery.get(item_id))
    service_of(request).audit.note(request, "view", item=item_id)
    return Answer(described(stored, active.engine.ids[0]))


@serves(router, ITEM_IMAGE, "search", responses=IMAGES)
async def image(request: Request, item_id: ItemId) -> Response:
    """The stored crop of an item."""
    await received(request, ITEM_IMAGE)
    pool = service_of(request).use(request).required_pool
    crop = await pool.run(trace_of(request), lambda: pool.gallery.crop(item_id))
    service_of(request).audit.note(request, "view", item=item_id)
    kind = "image/png" if crop.startswith(b"\x89PNG") else "image/jpeg"
    return Response(crop, media_type=kind)


@serves(router, ITEM_VECTORS, "search")
async def vectors(request: Request, item_id: ItemId) -> Answer:
    """The stored vectors of an item, of the active space or of the loaded one that `space_id` names."""
    options = (await received(request, ITEM_VECTORS)).options
    active = service_of(request).use(request, options.get("space_id"))
    item, pair = await stored_vectors(active, trace_of(request), item_id)
    service_of(request).audit.note(request, "view", item=item_id)
    return Answer(answers.ItemVectors(item.id, pair.embedding, pair.mu, shown_side(item.side), *active.engine.ids))


async def stored_vectors(active: ServedModel, trace: Trace, item_id: str) -> tuple[Item, Vectors]:
    """An item, and its vectors in the space of a loaded model. Raises ItemNotFound, NotHere."""
    pool, space_id = active.required_pool, active.engine.ids[0]
    item = await pool.run(trace, lambda: pool.gallery.get(item_id))
    pair = await pool.run(trace, lambda: pool.gallery.vectors(item_id, space_id))
    if pair is None:
        raise NotHere(f"item {item_id!r} has no vectors in space {space_id} yet")
    return item, pair


@serves(router, CHANGE, "write")
async def patch(request: Request, item_id: ItemId) -> Answer:
    """Change labels of an item. A side that becomes or ceases to be right mirrors the ear: it is embedded anew."""
    options = (await received(request, CHANGE)).options
    service, trace = service_of(request), trace_of(request)
    active = service.use(request)
    pool = active.required_pool
    changes: dict[str, Any] = dict(options)
    if "tags" in options:
        changes["tags"] = tuple(options["tags"] or ())
    if "side" in options:
        side = options["side"] or "unknown"
        changes["side"] = stored_side(side)
        changes["vectors"] = await turned(service, active, trace, item_id, side)
    changed = await pool.run(trace, lambda: pool.gallery.patch(item_id, **changes))
    service.audit.note(request, "change", item=item_id, fields=sorted(options))
    return Answer(described(changed, active.engine.ids[0]))


async def turned(
    service: Service, active: ServedModel, trace: Trace, item_id: str, side: Side
) -> dict[str, Vectors] | None:
    """The vectors of a stored ear as of another side; None where it lies the same way round."""
    pool, engine = active.required_pool, active.engine
    old = await pool.run(trace, lambda: pool.gallery.get(item_id))
    was = shown_side(old.side)
    lies_as_guessed = engine.has_spread and was != side and "unknown" in (was, side)
    if is_mirrored(was) == is_mirrored(side) and not lies_as_guessed:
        return None
    file = await pool.run(trace, lambda: pool.gallery.crop(item_id))
    ear = (await framed_ears(service.decode_pool, engine, trace, file, side, old.box)).first
    (encoded,) = await encoded_ears(engine, trace, [ear])
    elsewhere = await vectors_elsewhere(service.models, service.decode_pool, active, trace, file, ear.side, old.box)
    return {engine.ids[0]: Vectors(encoded.mu, encoded.embedding), **elsewhere}


@serves(router, DELETE, "write")
async def delete(request: Request, item_id: ItemId) -> Response:
    """Delete an item: its row, its crop, its vectors."""
    await received(request, DELETE)
    pool = service_of(request).use(request).required_pool
    await pool.run(trace_of(request), lambda: pool.gallery.delete(item_id))
    service_of(request).audit.note(request, "delete", item=item_id)
    return Response(status_code=204)


@serves(router, DELETE_SUBJECT, "write")
async def delete_subject(request: Request) -> Answer:
    """Delete everything of one person: rows, crops, vectors. A path too carries the name, as far as a path can:
    `/v1/gallery/subjects/NAME`."""
    return await _delete_subject(request, (await received(request, DELETE_SUBJECT)).options["subject"])


@serves(router, DELETE_SUBJECT, "write", path="/v1/gallery/subjects/{subject:path}", include_in_schema=False)
async def delete_subject_of_path(request: Request, subject: Annotated[str, Path(max_length=256)]) -> Answer:
    """The same, of the name in the path."""
    checked(NoOptions, {"query": dict(request.query_params)})
    return await _delete_subject(request, subject)


async def _delete_subject(request: Request, subject: str) -> Answer:
    pool = service_of(request).use(request).required_pool
    deleted = await pool.run(trace_of(request), lambda: pool.gallery.delete_subject(subject))
    service_of(request).audit.note(request, "delete_subject", subject=subject, deleted=deleted)
    return Answer(answers.Deleted(deleted))


def described(item: Item, space_id: str | None = None) -> answers.Item:
    """An item as it is answered; space_id: of the model that answers, in answers about one item."""
    return answers.Item(
        id=item.id,
        subject=item.subject,
        side=shown_side(item.side),
        tags=list(item.tags),
        source=item.source,
        sha256=item.sha256,
        created=item.created,
        box=None if item.box is None else list(item.box),
        image_url=prefixed(f"/v1/gallery/items/{item.id}/image"),
        space_id=space_id,
    )
