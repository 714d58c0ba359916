"""/v1/gallery/items and /v1/gallery/subjects: enrol ears, look at them, change and delete them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, cast, get_args

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from index.items import Filter, Item, NewItem, Vectors, content_hash
from serve.errors import BadRequest
from serve.http.json_body import read_json
from serve.http.multipart import Upload, parse_box, read_upload
from serve.http.responses import Answer
from serve.inference.orientation import Side, is_mirrored, shown_side, stored_side
from serve.lifecycle.dual_write import vectors_elsewhere
from serve.lifecycle.model_registry import Live
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import ERRORS, PICTURE_FORM, json_body, needs
from serve.service import Service, attended, service_of

router = APIRouter(tags=["gallery"], responses=ERRORS)

ENROL_FORM = {
    **PICTURE_FORM,
    "properties": {
        **PICTURE_FORM["properties"],  # type: ignore[dict-item]
        "subject": {"type": "string", "description": "whose ear it is"},
        "side": {"type": "string", "enum": ["left", "right", "unknown"]},
        "tags": {"type": "string", "description": "comma separated, or the field repeated"},
        "source": {"type": "string", "description": "where the picture came from"},
        "box": {"type": "string", "description": "ear box x1,y1,x2,y2 in pixels"},
    },
}
ENROL_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": ENROL_FORM}}}}
ItemId = Annotated[str, Path(max_length=64, description="id of an item")]
LimitParam = Annotated[int, Query(ge=1, le=500, description="most items of one page")]


class Patch(BaseModel):
    """Changes to an item; what is left out stays, null clears."""

    model_config = ConfigDict(extra="forbid")

    subject: str | None = None
    side: Side | None = None
    tags: list[str] | None = None
    source: str | None = None


@router.post(
    "/v1/gallery/items", status_code=201, openapi_extra=ENROL_BODY, response_class=Answer, dependencies=[needs("write")]
)
async def enrol(request: Request) -> Answer:
    """Enrol an ear. It is durable and can be found when this answers."""
    service, trace = service_of(request), trace_of(request)
    active = service.use(request)
    desk, engine = active.gallery_desk, active.engine
    engine.encoder.check_room()
    upload = await read_upload(request)
    side, box = _side_of(upload), parse_box(upload.text("box"))
    taken = service.intake.for_gallery(trace, upload.data, side, box, engine.framing)
    crop, stored = await attended(request, taken)
    (encoded,) = await attended(request, engine.encode(trace, [crop]))
    elsewhere = await vectors_elsewhere(service.models, service.intake, active, trace, upload.data, side, box)
    new = NewItem(
        crop=stored.file,
        mu=encoded.mu,
        embedding=encoded.embedding,
        subject=upload.text("subject"),
        side=stored_side(side),
        tags=_tags_of(upload),
        source=upload.text("source"),
        box=stored.box,
        also=elsewhere,
    )

    def job() -> Item:
        # By the posted file, as imports do: what was enrolled here is known to an import of the same picture.
        (item,) = desk.gallery.enrol([replace(new, sha256=content_hash(upload.data, box))], engine.ids[0])
        return item

    item = await desk.run(trace, job)
    service.audit.note(request, "enrol", item=item.id, subject=item.subject)
    return Answer({**shown(item), "space_id": engine.ids[0]}, 201, {"Location": f"/v1/gallery/items/{item.id}"})


@router.get("/v1/gallery/items", response_class=Answer, dependencies=[needs("search")])
async def items(
    request: Request,
    cursor: str | None = None,
    limit: LimitParam = 50,
    subject: Annotated[list[str], Query()] = [],  # noqa: B006  (FastAPI copies it)
    side: Annotated[list[Side], Query()] = [],  # noqa: B006
    tag: Annotated[list[str], Query()] = [],  # noqa: B006
) -> Answer:
    """List items in the order of enrolment. Give `next_cursor` back as `cursor` for the next page."""
    active = service_of(request).use(request)
    desk = active.gallery_desk
    asked = Filter(subjects=tuple(subject), sides=tuple(stored_side(one) for one in side), tags=tuple(tag))

    def job() -> dict[str, Any]:
        page = desk.gallery.list(after=cursor, limit=limit, filter=asked)
        total = desk.gallery.count(asked)
        return {"items": [shown(item) for item in page.items], "next_cursor": page.next_cursor, "total": total}

    page = await desk.run(trace_of(request), job)
    service_of(request).audit.note(request, "list", items=len(page["items"]))
    return Answer(page)


@router.get("/v1/gallery/items/{item_id}", response_class=Answer, dependencies=[needs("search")])
async def item(request: Request, item_id: ItemId) -> Answer:
    """One item."""
    active = service_of(request).use(request)
    desk = active.gallery_desk
    found = await desk.run(trace_of(request), lambda: desk.gallery.get(item_id))
    service_of(request).audit.note(request, "view", item=item_id)
    return Answer({**shown(found), "space_id": active.engine.ids[0]})


@router.get("/v1/gallery/items/{item_id}/image", response_class=Response, dependencies=[needs("search")])
async def image(request: Request, item_id: ItemId) -> Response:
    """The stored crop of an item."""
    desk = service_of(request).use(request).gallery_desk
    crop = await desk.run(trace_of(request), lambda: desk.gallery.crop(item_id))
    service_of(request).audit.note(request, "view", item=item_id)
    kind = "image/png" if crop.startswith(b"\x89PNG") else "image/jpeg"
    return Response(crop, media_type=kind)


@router.patch(
    "/v1/gallery/items/{item_id}", openapi_extra=json_body(Patch), response_class=Answer, dependencies=[needs("write")]
)
async def patch(request: Request, item_id: ItemId) -> Answer:
    """Change labels of an item. A side that becomes or ceases to be right mirrors the ear: it is embedded anew."""
    service, trace = service_of(request), trace_of(request)
    active = service.use(request)
    desk = active.gallery_desk
    asked = await read_json(request, Patch)
    changes = {name: getattr(asked, name) for name in asked.model_fields_set}
    if "tags" in changes:
        changes["tags"] = tuple(asked.tags or ())
    if "side" in changes:
        changes["side"] = stored_side(asked.side or "unknown")
        changes["vectors"] = await _turned(service, active, trace, item_id, asked.side or "unknown")
    changed = await desk.run(trace, lambda: desk.gallery.patch(item_id, **changes))
    service.audit.note(request, "change", item=item_id, fields=sorted(asked.model_fields_set))
    return Answer({**shown(changed), "space_id": active.engine.ids[0]})


async def _turned(service: Service, active: Live, trace: Trace, item_id: str, side: Side) -> dict[str, Vectors] | None:
    """The vectors of a stored ear as of another side; None where it lies the same way round."""
    desk, engine = active.gallery_desk, active.engine
    old = await desk.run(trace, lambda: desk.gallery.get(item_id))
    if is_mirrored(shown_side(old.side)) == is_mirrored(side):
        return None
    file = await desk.run(trace, lambda: desk.gallery.crop(item_id))
    crop = await service.intake.crop(trace, file, side, old.box, engine.framing)
    (encoded,) = await engine.encode(trace, [crop])
    elsewhere = await vectors_elsewhere(service.models, service.intake, active, trace, file, side, old.box)
    return {engine.ids[0]: Vectors(encoded.mu, encoded.embedding), **elsewhere}


@router.delete("/v1/gallery/items/{item_id}", status_code=204, response_class=Response, dependencies=[needs("write")])
async def delete(request: Request, item_id: ItemId) -> Response:
    """Delete an item: its row, its crop, its vectors."""
    desk = service_of(request).use(request).gallery_desk
    await desk.run(trace_of(request), lambda: desk.gallery.delete(item_id))
    service_of(request).audit.note(request, "delete", item=item_id)
    return Response(status_code=204)


@router.delete("/v1/gallery/subjects/{subject:path}", response_class=Answer, dependencies=[needs("write")])
async def delete_subject(request: Request, subject: Annotated[str, Path(max_length=256)]) -> Answer:
    """Delete everything of one person: rows, crops, vectors."""
    desk = service_of(request).use(request).gallery_desk
    deleted = await desk.run(trace_of(request), lambda: desk.gallery.delete_subject(subject))
    service_of(request).audit.note(request, "delete_subject", subject=subject, deleted=deleted)
    return Answer({"deleted": deleted})


def shown(item: Item) -> dict[str, Any]:
    """An item as JSON."""
    return {
        "id": item.id,
        "subject": item.subject,
        "side": shown_side(item.side),
        "tags": item.tags,
        "source": item.source,
        "sha256": item.sha256,
        "created": item.created,
        "box": item.box,
        "image_url": f"/v1/gallery/items/{item.id}/image",
    }


def _side_of(upload: Upload) -> Side:
    side = upload.text("side") or "unknown"
    if side not in get_args(Side):
        raise BadRequest(f"side is {side[:40]!r}; allowed are left, right and unknown", "side")
    return cast(Side, side)


def _tags_of(upload: Upload) -> tuple[str, ...]:
    given = (tag.strip() for value in upload.fields.get("tags", []) for tag in value.split(","))
    return tuple(dict.fromkeys(tag for tag in given if tag))
