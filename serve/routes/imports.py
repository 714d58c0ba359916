"""/v1/gallery/imports and /exports: many pictures in, and everything out, by folders on the service's machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath

from client import gallery_models as answers
from client.operations import EXPORT, IMPORT, IMPORT_STATE, IMPORTS
from client.options import CopyKind
from index.store.active_space import DATABASE
from serve.errors import NotHere
from serve.http.responses import Answer
from serve.lifecycle.bulk_import import ImportRecord, Imports
from serve.observability.request_context import prefixed
from serve.routes.common import received, serves
from serve.service import service_of

router = APIRouter(tags=["gallery"])

ImportId = Annotated[str, InPath(max_length=64, description="id of an import")]


@serves(router, IMPORT, "admin")
async def start(request: Request) -> Answer:
    """Import every picture of a source that the gallery does not hold yet, beside the traffic."""
    imports = _imports(request)
    options = (await received(request, IMPORT)).options
    record = await asyncio.to_thread(imports.start, Path(options["source"]), options["update_labels"])
    service_of(request).audit.note(request, "import", import_id=record.id, source=record.source)
    return Answer(_shown(record), 202, {"Location": prefixed(f"/v1/gallery/imports/{record.id}")})


@serves(router, IMPORTS, "admin")
async def imports(request: Request) -> Answer:
    """The imports since the service started, the oldest first."""
    await received(request, IMPORTS)
    return Answer(answers.ImportList([_shown(record) for record in _imports(request).all()]))


@serves(router, IMPORT_STATE, "admin")
async def state(request: Request, import_id: ImportId) -> Answer:
    """One import: how far it is, and which pictures failed."""
    await received(request, IMPORT_STATE)
    return Answer(_shown(_imports(request).get(import_id)))


@serves(router, EXPORT, "admin")
async def export(request: Request) -> Answer:
    """Write a copy of one moment of the gallery to a new folder, while others write. Answers when it is complete."""
    service = service_of(request)
    service.use(request)
    folder = service.settings.gallery
    if folder is None or not (folder / DATABASE).is_file():
        raise NotHere("this service keeps no embedded gallery; back its database up with the database's own tools")
    options = (await received(request, EXPORT)).options
    target, kind = Path(options["target"]), options["kind"]
    count = await asyncio.to_thread(_copied, folder, target, kind)
    service.audit.note(request, "export", target=str(target), items=count)
    return Answer(answers.Export(str(target), kind, count), 201)


def _copied(folder: Path, target: Path, kind: CopyKind) -> int:
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


def _shown(record: ImportRecord) -> answers.Import:
    return answers.Import(**record.model_dump())
