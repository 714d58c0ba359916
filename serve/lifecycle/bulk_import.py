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
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel

from bundle.framing import Framing
from bundle.image import ImageLimits, frame, part_for
from bundle.image import Picture as Pixels
from bundle.photo import Part, PictureFile
from common.records.record import UnusableRow
from index.items import NewItem, Vectors
from index.tools.sources import Picture, open_source
from serve.errors import ImportConflict, NotHere
from serve.inference.decode_pool import oriented, stored_crop
from serve.inference.encoded import embedded
from serve.inference.orientation import shown_side
from serve.lifecycle.model_registry import ModelRegistry, ServedModel
from serve.lifecycle.reembedding import rest
from serve.observability.audit import Audit
from serve.settings import Settings

if TYPE_CHECKING:
    from index.tools.bulk_import import ImportReport

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
    updated: int = 0
    failed: int = 0
    failures: list[str] = []
    error: str | None = None


class Imports:
    """The imports of one service process. Methods block: call them off the event loop."""

    def __init__(self, models: ModelRegistry, settings: Settings, audit: Audit) -> None:
        self._models, self._settings, self._audit = models, settings, audit
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

    def start(self, source: Path, update_labels: bool = False) -> ImportRecord:
        """Begin to import. Raises ImportRefused for what is no source, ImportConflict while another one runs."""
        with self._changing:
            if self._worker is not None and self._worker.is_alive():
                raise ImportConflict(f"import {self._records[-1].id} is running: wait until it has ended")
            listed = open_source(source)
            record = ImportRecord(id="im_" + secrets.token_hex(8), source=str(source))
            self._records.append(record)
            rows = takewhile(lambda _: not self._stop.is_set(), listed)
            job = (record, rows, self._models.active.engine.ids[0], update_labels)
            self._worker = threading.Thread(target=self._work, args=job, name="import", daemon=True)
            self._worker.start()
            return record.model_copy()

    def close(self) -> None:
        """Stop after the batch in hand, or leave it after `drain_s`: a model that hangs must not keep the service.

        What was enrolled stays and is known to the next import.
        """
        self._stop.set()
        if self._worker is not None:
            self._worker.join(self._settings.drain_s)
            if self._worker.is_alive():
                log.warning("the import is left: its batch did not end within %g s", self._settings.drain_s)

    def _work(
        self, record: ImportRecord, rows: Iterable[Picture | UnusableRow], space_id: str, update_labels: bool
    ) -> None:
        from index.tools.bulk_import import ImportOptions, import_pictures

        began = time.monotonic()

        def progress(report: ImportReport) -> None:
            nonlocal began
            record.enrolled, record.known, record.failed = report.enrolled, report.known, len(report.failed)
            record.updated = report.updated
            record.failures = [f"{one.name}: {one.reason}" for one in report.failed[:TOLD_FAILURES]]
            if report.fresh:
                self._audit.note_aside("enrol", import_id=record.id, items=report.fresh)
            rest(self._stop, time.monotonic() - began, self._settings.promotion_share)
            began = time.monotonic()

        try:
            gallery = self._models.gallery
            options = ImportOptions(space_id, BATCH, update_labels)
            for report in import_pictures(gallery, rows, lambda some: self._embed(space_id, some), options):
                progress(report)
            record.state = "stopped" if self._stop.is_set() else "done"
        except Exception as error:
            log.exception("import %s failed", record.id)
            record.state, record.error = "failed", str(error)

    def _embed(self, space_id: str, pictures: Sequence[Picture]) -> list[NewItem | Exception]:
        """The items of some pictures, with vectors in every live space; an exception where a picture is none."""
        live = self._models.of_space(space_id)  # asked anew: a faster runtime may have taken over
        decoded = [self._decoded(one, live.engine.framing) for one in pictures]
        kept = [(one, part) for one, part in zip(pictures, decoded, strict=True) if not isinstance(part, Exception)]
        own = embedded(live.engine.model, [part.crop for _, part in kept], [one.side is None for one, _ in kept])
        also = self._elsewhere(live, [(one, part.part) for one, part in kept])
        items = iter(_item(*each, own[row], also[row]) for row, each in enumerate(kept))
        return [part if isinstance(part, Exception) else next(items) for part in decoded]

    def _decoded(self, one: Picture, framing: Framing) -> DecodedPicture | Exception:
        try:
            part = part_for(PictureFile(one.data, self._limits, framing.alpha_grey), one.box, framing)
            return DecodedPicture(part, _crop(one, part, framing))
        except Exception as error:
            return error

    def _elsewhere(self, live: ServedModel, kept: Sequence[tuple[Picture, Part]]) -> list[dict[str, Vectors]]:
        """For each picture space_id -> vectors in the other live spaces; a model that fails is left out, and what its
        space lacks is filled by the promotion (as `serve.lifecycle.dual_write` does for a single ear).
        """
        also: list[dict[str, Vectors]] = [{} for _ in kept]
        for other in self._models.others(live):
            try:
                crops = [_crop(one, part, other.engine.framing) for one, part in kept]
                vectors_of_each = embedded(other.engine.model, crops, [one.side is None for one, _ in kept])
            except Exception as error:
                log.warning("import: no vectors in space %s: %s", other.engine.ids[0], error)
                continue
            for vectors, one in zip(vectors_of_each, also, strict=True):
                one[other.engine.ids[0]] = vectors
        return also


class DecodedPicture(NamedTuple):
    """A picture of the source: the part of it that shows the ear, upright, and the crop that the model takes."""

    part: Part
    crop: Pixels


def _crop(one: Picture, part: Part, framing: Framing) -> Pixels:
    return oriented(frame(part, one.box, framing), shown_side(one.side))


def _item(one: Picture, seen: DecodedPicture, own: Vectors, also: dict[str, Vectors]) -> NewItem:
    stored = stored_crop(seen.part, one.box)
    return NewItem(stored.file, own.mu, own.embedding, one.subject, one.side, one.tags, box=stored.box, also=also)
