"""Pictures of a bulk import: what `common.records` reads, with the bytes, one at a time.

A row that cannot be read is yielded as such and stops nothing. Decodes no picture.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common.records.reader import OpenedSource, open_records
from common.records.record import EarRecord, RecordsError, UnusableRow
from index.errors import BadItem, ImportRefused
from index.items import Box, Side, check_box, check_labels, content_hash

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """A picture to enrol: encoded bytes, and what the source says of it. `box` is in the picture's own pixels."""

    name: str
    data: bytes
    subject: str | None = None
    side: Side | None = None
    tags: tuple[str, ...] = ()
    box: Box | None = None

    @property
    def content(self) -> str:
        """See `content_hash`."""
        return content_hash(self.data, self.box)


def open_source(path: Path) -> Iterator[Picture | UnusableRow]:
    """The pictures of a source in any layout that training reads. Raises ImportRefused, also while it is read."""
    try:
        opened = open_records(path)
    except RecordsError as error:
        raise ImportRefused(str(error)) from None
    log.info("%s: read as layout %r (%s)", path, opened.layout.name, opened.layout.about)
    return _pictures(opened)


def _pictures(opened: OpenedSource) -> Iterator[Picture | UnusableRow]:
    try:
        for row in opened:
            yield row if isinstance(row, UnusableRow) else _picture(row)
    except RecordsError as error:
        raise ImportRefused(str(error)) from None


def _picture(record: EarRecord) -> Picture | UnusableRow:
    """The record with its bytes, or why there are none."""
    try:
        check_labels(record.subject, record.side, record.tags)
        check_box(record.box)
        return Picture(record.name, record.read(), record.subject, record.side, record.tags, record.box)
    except (OSError, ValueError, BadItem) as error:
        return UnusableRow(record.name, str(error))
