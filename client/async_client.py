"""The Python client of the service for programs with an event loop: `client.client`, awaited.

async with AsyncEarTeacher("http://127.0.0.1:8350") as ears:
    answers = await asyncio.gather(*(ears.search(path, k=3) for path in paths))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Unpack

from client import calls
from client.connection import AsyncConnection, AsyncMethod
from client.gallery_models import Duplicate, Import, Item
from client.gallery_options import DuplicatesOptions, ItemsOptions


class AsyncEarTeacher(AsyncConnection):
    """Every call of the service: `client.calls` says what each does and takes. Raises `client.errors.CallError`.

    See AsyncConnection for the arguments.
    """

    embed = AsyncMethod(calls.embed)
    embed_many = AsyncMethod(calls.embed_many)
    landmarks = AsyncMethod(calls.landmarks)
    reconstruct = AsyncMethod(calls.reconstruct)
    decode = AsyncMethod(calls.decode)
    search = AsyncMethod(calls.search)
    search_item = AsyncMethod(calls.search_item)
    search_vector = AsyncMethod(calls.search_vector)
    search_vectors = AsyncMethod(calls.search_vectors)
    verify = AsyncMethod(calls.verify)
    explain = AsyncMethod(calls.explain)
    enrol = AsyncMethod(calls.enrol)
    enrol_many = AsyncMethod(calls.enrol_many)
    items = AsyncMethod(calls.items)
    item = AsyncMethod(calls.item)
    image = AsyncMethod(calls.image)
    vectors = AsyncMethod(calls.vectors)
    put = AsyncMethod(calls.put)
    change = AsyncMethod(calls.change)
    delete = AsyncMethod(calls.delete)
    delete_subject = AsyncMethod(calls.delete_subject)
    duplicates = AsyncMethod(calls.duplicates)
    drift = AsyncMethod(calls.drift)
    import_source = AsyncMethod(calls.import_source)
    imports = AsyncMethod(calls.imports)
    import_state = AsyncMethod(calls.import_state)
    export_gallery = AsyncMethod(calls.export_gallery)
    promote = AsyncMethod(calls.promote)
    promotion = AsyncMethod(calls.promotion)
    promotions = AsyncMethod(calls.promotions)
    activate = AsyncMethod(calls.activate)
    rollback = AsyncMethod(calls.rollback)
    retire = AsyncMethod(calls.retire)
    calibrate = AsyncMethod(calls.calibrate)
    calibrations = AsyncMethod(calls.calibrations)
    models = AsyncMethod(calls.list_models)
    model = AsyncMethod(calls.model)
    metrics = AsyncMethod(calls.metrics)
    ready = AsyncMethod(calls.ready)

    async def all_items(self, **options: Unpack[ItemsOptions]) -> AsyncIterator[Item]:
        """The gallery, page by page."""
        asked: ItemsOptions = {"limit": 500, **options}
        page = await self.items(**asked)
        while True:
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            asked["cursor"] = page.next_cursor
            page = await self.items(**asked)

    async def all_duplicates(self, **options: Unpack[DuplicatesOptions]) -> AsyncIterator[Duplicate]:
        """Ears enrolled twice, in the whole gallery."""
        page = await self.duplicates(**options)
        while True:
            for pair in page.pairs:
                yield pair
            if page.next_cursor is None:
                return
            options["cursor"] = page.next_cursor
            page = await self.duplicates(**options)

    async def follow_import(self, import_id: str, *, every_s: float = 0.5) -> AsyncIterator[Import]:
        """How far an import is, again and again until it has ended; Missing where the service was started anew."""
        while not (state := await self.import_state(import_id)).ended:
            yield state
            await asyncio.sleep(every_s)
        yield state
