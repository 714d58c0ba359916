"""Bulk import: many pictures into a gallery, in batches, each at most once however often it is run.

The embedding is a callable that is given: this room stays ignorant of models. A picture that fails is reported and
stops nothing. What is done is known by content, so an import that was interrupted is simply run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from index.gallery import Gallery
from index.items import NewItem
from index.tools.sources import Picture, Unreadable

Embed = Callable[[Sequence[Picture]], Sequence[NewItem | Exception]]
"""Pictures -> for each, in order, the item to enrol or why it cannot be. Labels of the item are taken as they are."""


@dataclass
class ImportReport:
    """What an import has done so far."""

    enrolled: int = 0
    known: int = 0  # already in the gallery, by content
    failed: list[Unreadable] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)  # ids of what the last batch enrolled

    @property
    def seen(self) -> int:
        """Rows of the source that were dealt with."""
        return self.enrolled + self.known + len(self.failed)


def import_pictures(
    gallery: Gallery,
    found: Iterable[Picture | Unreadable],
    embed: Embed,
    space_id: str | None = None,
    batch: int = 32,
    progress: Callable[[ImportReport], None] = lambda report: None,
) -> ImportReport:
    """Enrol every picture whose content the gallery does not hold yet, `batch` at a time, each batch durably.

    `space_id` names the space of the vectors that `embed` gives (the active one by default). `progress` is called after
    every batch. Raises what `Gallery.enrol` raises; what was enrolled until then stays and is known to the next run.
    """
    report = ImportReport()
    for some in batches(found, batch):
        pictures = [one for one in some if isinstance(one, Picture)]
        report.failed += [one for one in some if isinstance(one, Unreadable)]
        fresh = unknown(gallery, pictures)
        report.known += len(pictures) - len(fresh)
        enrol(gallery, fresh, embed, space_id, report)
        progress(report)
    return report


def unknown(gallery: Gallery, pictures: Sequence[Picture]) -> list[Picture]:
    """Those whose content is neither in the gallery nor earlier in the batch."""
    known = gallery.find_content([one.content for one in pictures])
    by_content = {one.content: one for one in reversed(pictures) if one.content not in known}
    return list(reversed(by_content.values()))


def enrol(
    gallery: Gallery, pictures: Sequence[Picture], embed: Embed, space_id: str | None, report: ImportReport
) -> None:
    """Embed and enrol one batch."""
    report.fresh = []
    if not pictures:
        return
    items: list[NewItem] = []
    for one, result in zip(pictures, embed(pictures), strict=True):
        if isinstance(result, Exception):
            report.failed.append(Unreadable(one.name, str(result)))
        else:
            items.append(replace(result, sha256=one.content, source=result.source or one.name))
    report.fresh = [item.id for item in gallery.enrol(items, space_id)]
    report.enrolled += len(report.fresh)


def batches(found: Iterable[Picture | Unreadable], size: int) -> Iterator[list[Picture | Unreadable]]:
    some: list[Picture | Unreadable] = []
    for one in found:
        some.append(one)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
