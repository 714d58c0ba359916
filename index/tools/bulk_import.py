"""Bulk import: many pictures into a gallery, in batches, each at most once however often it is run.

The embedding is a callable that is given: this room stays ignorant of models. A picture that fails is reported and
stops nothing. What is done is known by content, so an import that was interrupted is simply run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common.records.record import UnusableRow
from index.gallery import Gallery
from index.items import Item, NewItem, Vectors, check_labels, source_of
from index.tools.sources import Picture

Embed = Callable[[Sequence[Picture]], Sequence[NewItem | Exception]]
"""Pictures -> for each, in order, the item to enrol or why it cannot be. Labels of the item are taken as they are."""


@dataclass(frozen=True)
class ImportOptions:
    """space_id: of the vectors that `embed` gives (the active one by default). batch: pictures that are embedded and
    enrolled at once. update_labels: items that the gallery holds already get the labels that the source has of them.
    """

    space_id: str | None = None
    batch: int = 32
    update_labels: bool = False


@dataclass
class ImportReport:
    """What an import has done so far."""

    enrolled: int = 0
    known: int = 0  # already in the gallery, by content
    updated: int = 0  # of the known ones, those that got other labels
    failed: list[UnusableRow] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)  # ids of what the last batch enrolled

    @property
    def seen(self) -> int:
        """Rows of the source that were dealt with."""
        return self.enrolled + self.known + len(self.failed)


def import_pictures(
    gallery: Gallery, source: Iterable[Picture | UnusableRow], embed: Embed, options: ImportOptions | None = None
) -> Iterator[ImportReport]:
    """Enrol every picture whose content the gallery does not hold yet; gives its report after every batch.

    Each batch is durable before the report is given. Raises what `Gallery.enrol` raises; what was enrolled until then
    stays and is known to the next run.
    """
    job = ImportJob(gallery, embed, options or ImportOptions())
    yield job.report
    for rows in batches(source, job.options.batch):
        job.take(rows)
        yield job.report


class ImportJob:
    """One import, batch by batch."""

    def __init__(self, gallery: Gallery, embed: Embed, options: ImportOptions) -> None:
        self.report, self.options = ImportReport(), options
        self._gallery, self._embed = gallery, embed

    def take(self, rows: Sequence[Picture | UnusableRow]) -> None:
        """Enrol what is new in a batch, and count the rest."""
        report, report.fresh = self.report, []
        report.failed += [row for row in rows if isinstance(row, UnusableRow)]
        by_content: dict[str, list[Picture]] = {}
        for picture in (row for row in rows if isinstance(row, Picture)):
            by_content.setdefault(picture.content, []).append(picture)
        enrolled = self._gallery.find_content(list(by_content))
        for content, ids in enrolled.items():
            report.known += len(by_content[content])
            if self.options.update_labels:
                report.updated += sum(self._update(item_id, by_content[content][-1]) for item_id in ids)
        self._enrol([pictures for content, pictures in by_content.items() if content not in enrolled])

    def _enrol(self, groups: Sequence[Sequence[Picture]]) -> None:
        """Embed and enrol the first of each group of equal pictures; a group fails, or is known, as a whole."""
        items: list[NewItem] = []
        first = [group[0] for group in groups]
        for group, result in zip(groups, self._embed(first) if first else (), strict=True):
            if isinstance(result, Exception):
                self.report.failed += [UnusableRow(picture.name, str(result)) for picture in group]
            else:
                items.append(self._named(result, group[0]))
                self.report.known += len(group) - 1
        self.report.fresh = [item.id for item in self._gallery.enrol(items, self.options.space_id)]
        self.report.enrolled += len(items)

    def _named(self, item: NewItem, picture: Picture) -> NewItem:
        return replace(item, sha256=picture.content, source=item.source or source_of(picture.name))

    def _update(self, item_id: str, picture: Picture) -> bool:
        """Give an enrolled item the labels that the source has of it; returns whether any was another."""
        item = self._gallery.get(item_id)
        labels = new_labels(item, picture)
        if not labels:
            return False
        vectors = None
        if (labels.get("side", item.side) == "right") != (item.side == "right"):  # the picture is mirrored anew
            (result,) = self._embed([picture])
            if isinstance(result, Exception):
                self.report.failed.append(UnusableRow(picture.name, str(result)))
                return False
            own = self.options.space_id or self._gallery.space_id
            vectors = {**result.also, own: Vectors(result.mu, result.embedding)}
        self._gallery.patch(item_id, **labels, vectors=vectors)
        return True


def new_labels(item: Item, picture: Picture) -> dict[str, Any]:
    """The labels that a source has of a picture and that are not the item's; what a source does not say, stays."""
    subject, tags = check_labels(picture.subject, picture.side, picture.tags)
    stated = {"subject": subject, "side": picture.side, "tags": tags}
    return {name: value for name, value in stated.items() if value and value != getattr(item, name)}


def batches(source: Iterable[Picture | UnusableRow], size: int) -> Iterator[list[Picture | UnusableRow]]:
    """The rows of a source, `size` at a time."""
    rows: list[Picture | UnusableRow] = []
    for row in source:
        rows.append(row)
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows
