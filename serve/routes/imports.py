"""/v1/gallery/imports and /exports: many pictures in, and everything out, by folders on the service's machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from index.store.active_space import DATABASE
from serve.errors import NotHere
from serve.http.json_body import read_json
from serve.http.responses import Answer
from serve.lifecycle.bulk_import import Imports
from serve.routes.common import ERRORS, json_body, needs
from serve.service import service_of

router = APIRouter(tags=["gallery"], dependencies=[needs("admin")], responses=ERRORS)

ImportId = Annotated[str, InPath(max_length=64, description="id of an import")]


class ImportRequest(BaseModel):
    """A source of pictures."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(min_length=1, max_length=4096, description="folder, CSV, .npy, Parquet or tar; on its machine")


class ExportRequest(BaseModel):
    """Where a copy of the gallery goes."""

    model_config = ConfigDict(extra="forbid")

    target: str = Field(min_length=1, max_length=4096, description="a new folder on the service's machine")
    kind: Literal["archive", "backup"] = Field("archive", description="archive: Parquet and pictures; backup: SQLite")


@router.post("/v1/gallery/imports", status_code=202, openapi_extra=json_body(ImportRequest), response_class=Answer)
async def start(request: Request) -> Answer:
    """Import every picture of a source that the gallery does not hold yet, beside the traffic."""
    imports = _imports(request)
    asked = await read_json(request, ImportRequest)
    record = await asyncio.to_thread(imports.start, Path(asked.source))
    service_of(request).audit.note(request, "import", import_id=record.id, source=record.source)
    return Answer(record.model_dump(), 202, {"Location": f"/v1/gallery/imports/{record.id}"})


@router.get("/v1/gallery/imports", response_class=Answer)
async def imports(request: Request) -> Answer:
    """The imports since the service started, the oldest first."""
    return Answer({"imports": [record.model_dump() for record in _imports(request).all()]})


@router.get("/v1/gallery/imports/{import_id}", response_class=Answer)
async def one(request: Request, import_id: ImportId) -> Answer:
    """One import: how far it is, and which pictures failed."""
    return Answer(_imports(request).get(import_id).model_dump())


@router.post("/v1/gallery/exports", status_code=201, openapi_extra=json_body(ExportRequest), response_class=Answer)
async def export(request: Request) -> Answer:
    """Write a copy of one moment of the gallery to a new folder, while others write. Answers when it is complete."""
    service = service_of(request)
    service.use(request)
    folder = service.settings.gallery
    if folder is None or not (folder / DATABASE).is_file():
        raise NotHere("this service keeps no embedded gallery; back its database up with the database's own tools")
    asked = await read_json(request, ExportRequest)
    count = await asyncio.to_thread(_copied, folder, Path(asked.target), asked.kind)
    service.audit.note(request, "export", target=asked.target, items=count)
    return Answer({"target": asked.target, "kind": asked.kind, "items": count}, 201)


def _copied(folder: Path, target: Path, kind: str) -> int:
    from index.opening import open_read_only
    from index.tools.archive import export as write
    from index.tools.backup import backup

    if kind == "backup":
        return backup(folder, target).items
    with open_read_only(folder) as truth:
        return write(truth, target)


def _imports(request: Request) -> Imports:
    service = service_of(request)
    service.use(request)
    if service.imports is None:
        raise NotHere("this service was started without a gallery; start it with --gallery FOLDER")
    return service.imports
