"""Bulk import into the gallery of a running service: many pictures from a source on its machine, beside the traffic.

One at a time, in a bounded share of the machine. What is done is known by content, so an import that a restart
interrupted is simply begun again. Knows no HTTP.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel

from bundle.image import ImageLimits, decode, frame
from bundle.image import Picture as Pixels
from index.items import NewItem, Vectors
from index.sources import Picture, Unreadable, open_source
from serve.errors import ImportConflict, NotHere
from serve.intake import oriented, stored_crop
from serve.live import Live, LiveModels
from serve.orientation import shown_side
from serve.settings import Settings

if TYPE_CHECKING:
    from index.importing import ImportReport

log = logging.getLogger(__name__)

BATCH = 8
"""Small, so that a request never waits long behind one."""
TOLD_FAILURES = 100
"""Pictures that failed which are told by name; all are counted."""


class ImportRecord(BaseModel):
    """An import as it is told. `source`: a folder or file on the service's machine."""

    id: str
    source: str
    state: Literal["running", "done", "stopped", "failed"] = "running"
    enrolled: int = 0
    known: int = 0
    failed: int = 0
    failures: list[str] = []
    error: str | None = None


class Imports:
    """The imports of one service process. Methods block: call them off the event loop."""

    def __init__(self, models: LiveModels, settings: Settings) -> None:
        self._models, self._settings = models, settings
        self._limits = ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels)
        self._records: list[ImportRecord] = []
        self._changing, self._stop = threading.Lock(), threading.Event()
        self._worker: threading.Thread | None = None

    def all(self) -> list[ImportRecord]:
        """Every import since the service started, the oldest first."""
        return [one.model_copy() for one in self._records]

    def get(self, import_id: str) -> ImportRecord:
        """One import. Raises NotHere."""
        for record in self._records:
            if record.id == import_id:
                return record.model_copy()
        raise NotHere(
            f"no import {import_id[:80]!r} since this service started; begin it again: what it enrolled is known"
        )

    def start(self, source: Path) -> ImportRecord:
        """Begin to import. Raises ImportRefused for what is no source, ImportConflict while another one runs."""
        with self._changing:
            if self._worker is not None and self._worker.is_alive():
                raise ImportConflict(f"import {self._records[-1].id} is running: wait until it has ended")
            found = open_source(source)
            record = ImportRecord(id="im_" + secrets.token_hex(8), source=str(source))
            self._records.append(record)
            job = (record, takewhile(lambda _: not self._stop.is_set(), found), self._models.active.engine.ids[0])
            self._worker = threading.Thread(target=self._work, args=job, name="import", daemon=True)
            self._worker.start()
            return record.model_copy()

    def close(self) -> None:
        """Stop after the batch in hand; what was enrolled stays and is known to the next import."""
        self._stop.set()
        if self._worker is not None:
            self._worker.join()

    def _work(self, record: ImportRecord, found: Iterable[Picture | Unreadable], space_id: str) -> None:
        from index.importing import import_pictures

        began = time.monotonic()

        def progress(report: ImportReport) -> None:
            nonlocal began
            record.enrolled, record.known, record.failed = report.enrolled, report.known, len(report.failed)
            record.failures = [f"{one.name}: {one.reason}" for one in report.failed[:TOLD_FAILURES]]
            self._stop.wait((time.monotonic() - began) * (1.0 / self._settings.promotion_share - 1.0))
            began = time.monotonic()

        try:
            gallery = self._models.gallery
            import_pictures(gallery, found, lambda some: self._embed(space_id, some), space_id, BATCH, progress)
            record.state = "stopped" if self._stop.is_set() else "done"
        except Exception as error:
            log.exception("import %s failed", record.id)
            record.state, record.error = "failed", str(error)

    def _embed(self, space_id: str, pictures: Sequence[Picture]) -> list[NewItem | Exception]:
        """The items of some pictures, with vectors in every live space; an exception where a picture is none."""
        live = self._models.of_space(space_id)  # asked anew: a faster runtime may have taken over
        decoded = [self._decoded(one, live) for one in pictures]
        kept = [(n, pictures[n], found) for n, found in enumerate(decoded) if not isinstance(found, Exception)]
        shown = [(one, found) for _, one, found in kept]
        vectors = {model.engine.ids[0]: _encoded(model, shown) for model in [live, *self._models.others(live)]}
        own = vectors.pop(live.engine.ids[0])
        made: dict[int, NewItem | Exception] = {
            n: _item(one, found, own[row], {space: some[row] for space, some in vectors.items()})
            for row, (n, one, found) in enumerate(kept)
        }
        failed = {n: found for n, found in enumerate(decoded) if isinstance(found, Exception)}
        return [(made | failed)[n] for n in range(len(decoded))]

    def _decoded(self, one: Picture, live: Live) -> Pixels | Exception:
        try:
            found = decode(one.data, self._limits)
            frame(found, one.box, live.engine.framing)  # a box beside the picture is this picture's fault alone
            return found
        except Exception as error:
            return error


def _item(one: Picture, found: Pixels, own: Vectors, also: dict[str, Vectors]) -> NewItem:
    stored = stored_crop(found, one.box)
    return NewItem(stored.file, own.mu, own.embedding, one.subject, one.side, one.tags, box=stored.box, also=also)


def _encoded(live: Live, shown: Sequence[tuple[Picture, Pixels]]) -> list[Vectors]:
    if not shown:
        return []
    framing = live.engine.framing
    crops = [oriented(frame(found, one.box, framing), shown_side(one.side)) for one, found in shown]
    encoding = live.engine.model.encode(np.stack(crops))
    return [Vectors(mu, embedding) for mu, embedding in zip(encoding.mu, encoding.embedding, strict=True)]
