"""PUT /v1/gallery/items/{item_id}: an ear under an id of the caller's, with labels, a picture, vectors, or both."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request

from client.gallery_models import Item as Stored
from client.gallery_options import PutOptions
from client.operations import PUT_ITEM
from index.errors import ItemNotFound, SpaceMismatch
from index.items import Item, Vectors
from serve.errors import BadRequest
from serve.http.openapi import answer_model
from serve.http.responses import Answer
from serve.inference.encoded import Encoded
from serve.inference.framed_ears import check_room, encoded_ears, framed_ears
from serve.inference.orientation import stored_side
from serve.lifecycle.model_registry import ServedModel
from serve.observability.request_context import Trace, prefixed, trace_of
from serve.routes.common import Received, received, serves
from serve.routes.enrol import new_item
from serve.routes.items import ItemId, described, turned
from serve.service import attended, service_of

router = APIRouter(tags=["gallery"])


NEW = {201: {"description": "a new item", "model": answer_model(Stored)}}


@serves(router, PUT_ITEM, "write", responses=NEW)
async def put(request: Request, item_id: ItemId) -> Answer:
    """Put an ear under an id: what was there is replaced, else it is enrolled (201). Labels not given are none.

    With a picture, its vectors are the model's, or `embedding` (and `mu`) where they are given. Without one, the item
    must be there: it keeps its picture, and its vectors as far as none are given. Vectors are in left orientation, of
    the active space (`space_id`, where it is named, must be that: 409).
    """
    asked = await received(request, PUT_ITEM)
    service, trace, options = service_of(request), trace_of(request), asked.options
    active = service.use(request)
    if "mu" in options and "embedding" not in options:
        raise BadRequest("mu is given without embedding; give both, or the embedding alone", "mu")
    _check_space(active, options)
    if asked.pictures:
        item, added = await _with_picture(request, active, trace, item_id, asked)
    else:
        item, added = await _without_picture(request, active, trace, item_id, options), False
    service.audit.note(request, "enrol" if added else "change", item=item.id, subject=item.subject)
    place = {"Location": prefixed(f"/v1/gallery/items/{item.id}")}
    return Answer(described(item, active.engine.ids[0]), 201 if added else 200, place)


def _check_space(active: ServedModel, options: PutOptions) -> None:
    """Vectors must say that they are of the active space. Raises BadRequest, SpaceMismatch."""
    space_id = active.engine.ids[0]
    if "embedding" in options and "space_id" not in options:
        raise BadRequest("space_id is missing; it says which encoder made the vector", "space_id")
    if options.get("space_id", space_id) != space_id:
        raise SpaceMismatch(space_id, options["space_id"])


async def _with_picture(
    request: Request, active: ServedModel, trace: Trace, item_id: str, asked: Received[PutOptions]
) -> tuple[Item, bool]:
    service, options, data = service_of(request), asked.options, asked.picture()
    pool, engine = active.required_pool, active.engine
    check_room(engine, 1, False)
    work = framed_ears(service.decode_pool, engine, trace, data, options["side"], options.get("box"), keep=True)
    ear = (await attended(request, work)).first
    (encoded,) = await attended(request, encoded_ears(engine, trace, [ear]))
    if "embedding" in options:
        encoded = Encoded(options["embedding"], options.get("mu", encoded.mu), encoded.logvar)
    new = replace(await new_item(service, active, trace, data, ear, encoded, options), id=item_id)
    return await pool.run(trace, lambda: pool.gallery.put(new, engine.ids[0]))


async def _without_picture(
    request: Request, active: ServedModel, trace: Trace, item_id: str, options: PutOptions
) -> Item:
    service, pool, space_id = service_of(request), active.required_pool, active.engine.ids[0]
    if "box" in options:
        raise BadRequest("box is of a picture, and there is none; send both or neither", "box")
    try:
        vectors = await turned(service, active, trace, item_id, options["side"])
    except ItemNotFound:
        raise BadRequest(
            f"no item {item_id!r} is there; a new one needs its picture too, from which a later model embeds it anew",
            "file",
        ) from None
    if "embedding" in options:
        kept = vectors
        if kept is None:
            kept = await pool.run(trace, lambda: pool.gallery.all_vectors(item_id))
        mu = options["mu"] if "mu" in options else kept[space_id].mu
        vectors = {**kept, space_id: Vectors(mu, options["embedding"])}
    return await pool.run(
        trace,
        lambda: pool.gallery.patch(
            item_id,
            subject=options.get("subject"),
            side=stored_side(options["side"]),
            tags=tuple(options["tags"]),
            source=options.get("source"),
            vectors=vectors,
        ),
    )
