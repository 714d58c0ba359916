"""The Python client of the service: typed, with retries when it is busy. `client.async_client` is the same, awaited.

with EarTeacher("http://127.0.0.1:8350") as ears:
    ears.enrol("anna.jpg", subject="anna", side="left")
    for hit in ears.search("who.jpg", k=3).hits:
        print(hit.subject, hit.similarity)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Unpack

from client import calls
from client.connection import Connection, Method
from client.gallery_models import Duplicate, Import, Item
from client.gallery_options import DuplicatesOptions, ItemsOptions


class EarTeacher(Connection):
    """Every call of the service: `client.calls` says what each does and takes. Raises `client.errors.CallError`.

    See Connection for the arguments.
    """

    embed = Method(calls.embed)
    embed_many = Method(calls.embed_many)
    landmarks = Method(calls.landmarks)
    reconstruct = Method(calls.reconstruct)
    decode = Method(calls.decode)
    search = Method(calls.search)
    search_item = Method(calls.search_item)
    search_vector = Method(calls.search_vector)
    search_vectors = Method(calls.search_vectors)
    verify = Method(calls.verify)
    explain = Method(calls.explain)
    enrol = Method(calls.enrol)
    enrol_many = Method(calls.enrol_many)
    items = Method(calls.items)
    item = Method(calls.item)
    image = Method(calls.image)
    vectors = Method(calls.vectors)
    put = Method(calls.put)
    change = Method(calls.change)
    delete = Method(calls.delete)
    delete_subject = Method(calls.delete_subject)
    duplicates = Method(calls.duplicates)
    drift = Method(calls.drift)
    import_source = Method(calls.import_source)
    imports = Method(calls.imports)
    import_state = Method(calls.import_state)
    export_gallery = Method(calls.export_gallery)
    promote = Method(calls.promote)
    promotion = Method(calls.promotion)
    promotions = Method(calls.promotions)
    activate = Method(calls.activate)
    rollback = Method(calls.rollback)
    retire = Method(calls.retire)
    calibrate = Method(calls.calibrate)
    calibrations = Method(calls.calibrations)
    models = Method(calls.list_models)
    model = Method(calls.model)
    metrics = Method(calls.metrics)
    ready = Method(calls.ready)

    def all_items(self, **options: Unpack[ItemsOptions]) -> Iterator[Item]:
        """The gallery, page by page."""
        asked: ItemsOptions = {"limit": 500, **options}
        page = self.items(**asked)
        yield from page.items
        while page.next_cursor is not None:
            asked["cursor"] = page.next_cursor
            page = self.items(**asked)
            yield from page.items

    def all_duplicates(self, **options: Unpack[DuplicatesOptions]) -> Iterator[Duplicate]:
        """Ears enrolled twice, in the whole gallery."""
        page = self.duplicates(**options)
        yield from page.pairs
        while page.next_cursor is not None:
            options["cursor"] = page.next_cursor
            page = self.duplicates(**options)
            yield from page.pairs

    def follow_import(self, import_id: str, *, every_s: float = 0.5) -> Iterator[Import]:
        """How far an import is, again and again until it has ended; Missing where the service was started anew."""
        while not (state := self.import_state(import_id)).ended:
            yield state
            time.sleep(every_s)
        yield state
