"""The gallery: enrolled ears, durable before the answer, and the nearest of them to a vector.

Composes the truth (a database), one set of neighbours per space (a cache in memory) and a folder lock. Knows vectors by
their width and the id of their space; knows no model, no picture format and no HTTP. Safe to use from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection

from index import enrolment
from index.calibration import calibration_document, labelled_pairs
from index.errors import DuplicateItem, GalleryReadOnly
from index.gallery_reader import GalleryReader
from index.items import Item, NewItem, Side, Vectors, composed
from index.live_spaces import LiveSpaces, Make
from index.maintenance import MaintenanceThread
from index.promotion import Spaces
from index.replication import LogFollower, SingleWriter
from index.store import changes, rows, space_rows
from index.store.lock import FolderLock
from index.store.schema import begin_ledger, migrate
from index.store.space_rows import SpaceMean, open_active
from index.store.truth import Truth

OnDuplicate = Literal["add", "return", "reject"]
MEAN_MAY_LAG = 0.1
"""Share by which a gallery may grow or shrink before its mean is computed anew."""
Items = list[Item]
Outcomes = list["Outcome"]


class Outcome(NamedTuple):
    """What became of an item to enrol: the enrolled item, and whether it is new."""

    item: Item
    added: bool


class Keep(Enum):
    """The default of `Gallery.patch`: None is a value there."""

    KEEP = "keep"


KEEP = Keep.KEEP


class Gallery(GalleryReader):
    """See `index.opening`. Every change is durable when its method returns, and is seen by the next search."""

    def __init__(
        self, truth: Truth, make: Make, dim: int, space_id: str, lock: FolderLock | None, shared: bool = False
    ) -> None:
        self._lock = lock
        self._changing = threading.Lock()  # the order of commits is the order in which the indexes learn of them
        self._closed = False
        with truth.write() as connection:
            migrate(connection)
            begin_ledger(connection)
            spaces = open_active(connection, space_id, dim)
            sequence = rows.read_ledger(connection).seq
        live = LiveSpaces(spaces, make)
        replication = LogFollower(truth, live, self._changing, sequence - 1) if shared else SingleWriter()
        super().__init__(truth, live, replication)
        replication.follow()
        self._maintenance = MaintenanceThread(self.maintain)
        self.spaces: Final = Spaces(truth, self._live, self._changing, self._replication)

    def enrol(self, items: Sequence[NewItem], space_id: str | None = None) -> Items:
        """Enrol all items or none, durably, whether or not the same pictures are enrolled. See `enrol_once`."""
        return [outcome.item for outcome in self.enrol_once(items, space_id, on_duplicate="add")]

    def enrol_once(
        self, items: Sequence[NewItem], space_id: str | None = None, on_duplicate: OnDuplicate = "return"
    ) -> Outcomes:
        """Enrol all items or none, durably; what becomes of each, in order.

        on_duplicate: of a picture that is enrolled already, or stands twice among `items` (by `NewItem.content`):
        "return" gives the item that is there, unchanged; "reject" raises DuplicateItem; "add" enrols it once more.
        `space_id` names the space of the items' `mu` and `embedding` (the active one by default); a caller whose model
        can be replaced under it names its own. Vectors in `also` for spaces that were retired meanwhile are dropped.
        Raises BadVector, GalleryReadOnly, and SpaceMismatch if `space_id` is not live, or if the items have no vectors
        in the active space: embed them again then.
        """
        if not items:
            return []
        items, by_space = self._prepared(items, space_id)
        with self._changing:
            by_space = self._of_live_spaces(by_space, len(items))
            with self._truth.write() as connection:
                earlier = {} if on_duplicate == "add" else changes.find_duplicates(connection, items)
                if earlier and on_duplicate == "reject":
                    raise DuplicateItem(*next(iter(earlier.items())))
                new = [n for n in range(len(items)) if n not in earlier]
                by_space = {name: columns.of(new) for name, columns in by_space.items()}
                stored = changes.enrol(connection, [items[n] for n in new], by_space)
                outcomes = {n: Outcome(item, True) for n, (_, item) in zip(new, stored, strict=True)}
                for n, twin in earlier.items():
                    item = outcomes[twin].item if isinstance(twin, int) else rows.get(connection, twin)[1]
                    outcomes[n] = Outcome(item, False)
            self._replication.publish(lambda: self._put(stored, by_space))
        self._maintenance.note(len(stored))
        return [outcomes[n] for n in range(len(items))]

    def put(self, item: NewItem, space_id: str | None = None) -> Outcome:
        """Enrol an item under its own `id`, durably, in the place of the item that has it, all of whose data go.

        space_id: of the item's `mu` and `embedding`, as of `enrol_once`. Raises what `enrol_once` raises.
        """
        (item,), by_space = self._prepared([item], space_id)
        with self._changing:
            by_space = self._of_live_spaces(by_space, 1)
            with self._truth.write() as connection:
                gone, stored = changes.put(connection, item, by_space)
            self._replication.publish(lambda: self._replace(gone, stored, by_space))
        self._maintenance.note(1)
        return Outcome(stored[1], gone is None)

    def _prepared(
        self, items: Sequence[NewItem], space_id: str | None
    ) -> tuple[Sequence[NewItem], dict[str, changes.Columns]]:
        """The items as they can be stored now, and their checked vectors by space."""
        self._replication.prepare()
        dims = self._live.dims()
        items = [enrolment.without_retired(item, dims) for item in items]
        return items, enrolment.columns(items, space_id or self.space_id, dims)

    def _of_live_spaces(self, by_space: Mapping[str, changes.Columns], count: int) -> dict[str, changes.Columns]:
        """Vectors of the spaces that are live still, now that nobody else changes them."""
        self._truth.check_writable()
        live = {name: some for name, some in by_space.items() if name in self._live.dims()}
        enrolment.check_covers(live, self.space_id, count)
        return live

    def patch(
        self,
        item_id: str,
        *,
        subject: str | None | Keep = KEEP,
        side: Side | None | Keep = KEEP,
        tags: tuple[str, ...] | Keep = KEEP,
        source: str | None | Keep = KEEP,
        vectors: Mapping[str, Vectors] | None = None,
    ) -> Item:
        """Change what is given and keep the rest; returns the item as it is now.

        Vectors live in left-ear orientation, so a side that becomes or ceases to be "right" mirrors the picture: then
        `vectors` (space id -> vectors of the picture in its new orientation) must be given. Raises ItemNotFound,
        BadItem, BadVector, SpaceMismatch, GalleryReadOnly.
        """
        labels = {"subject": subject, "side": side, "tags": tags, "source": source}
        labels = {name: value for name, value in labels.items() if value is not KEEP}
        with self._changing:
            fresh = None if vectors is None else enrolment.replacement(vectors, self.space_id, self._live.dims())
            with self._truth.write() as connection:
                old, item = rows.get(connection, item_id)
                patch = enrolment.patched(item, labels, fresh is not None)
                if fresh is None:
                    key, item = changes.relabel(connection, old, patch)
                else:
                    key, item = changes.remake(connection, old, patch, fresh)
            self._replication.publish(lambda: self._live.follow_patch(old, key, item, fresh))
        self._maintenance.note(1)
        return item

    def delete(self, item_id: str) -> None:
        """Delete an item, its crop and its vectors. Raises ItemNotFound, GalleryReadOnly."""
        self._delete(lambda connection: [rows.get(connection, item_id)[0]])

    def delete_subject(self, subject: str) -> int:
        """Delete everything enrolled under a subject, however its name is spelt in Unicode; returns how many items.

        Any name is allowed, "." and ".." too: callers pass it in a query or a body where a URL's path cannot carry it.
        """
        name = composed(subject)
        return self._delete(lambda connection: changes.keys_of_subject(connection, name))

    def set_calibration(self, space_id: str, document: Mapping[str, Any] | None) -> None:
        """Keep a JSON document about a space's similarities, in the place of the one before; None: keep none.

        Raises SpaceMismatch, GalleryReadOnly.
        """
        name = self._live.index(space_id).space_id
        with self._changing, self._truth.write() as connection:
            space_rows.write_calibration(connection, name, document)

    def mean(self, space_id: str | None = None, refresh: bool = False) -> SpaceMean:
        """The mean embedding of a space (the active one by default), for `index.vectors.centred`.

        The one that was kept last, whose `sequence` tells how old it is; computed, and kept, where there is none yet or
        `refresh` asks for it. Raises GalleryReadOnly where it must be kept and cannot.
        """
        index = self._live.index(space_id)
        kept = self._read(lambda connection: space_rows.read_mean(connection, index.space_id, index.dim))
        if kept is not None and not refresh:
            return kept
        mean = self._read(lambda connection: space_rows.compute_mean(connection, index.space_id, index.dim))
        with self._changing, self._truth.write() as connection:
            space_rows.write_mean(connection, index.space_id, mean)
        return mean

    def recent_mean(self, space_id: str | None = None) -> SpaceMean:
        """`mean`, computed anew where the gallery has grown or shrunk by more than a tenth since it was kept.

        Where it cannot be kept at the moment, the one before is returned.
        """
        kept = self.mean(space_id)
        if abs(self._read(rows.read_ledger).item_count - kept.items) <= kept.items * MEAN_MAY_LAG:
            return kept
        try:
            return self.mean(space_id, refresh=True)
        except GalleryReadOnly:
            return kept

    def calibrate(self, space_id: str | None = None, centred: bool = False) -> dict[str, Any]:
        """Calibrate a space on its own labelled ears, keep the document and return it.

        centred: on similarities of vectors less the gallery's own mean, computed anew. Raises CalibrationRefused where
        fewer than 20 subjects have two pictures of one ear.
        """
        index = self._live.index(space_id)
        mean = self.mean(index.space_id, refresh=True).mean if centred else None
        pairs = self._read(lambda connection: labelled_pairs(connection, index.space_id, index.dim, mean))
        document = calibration_document(pairs, index.space_id, self.sequence, centred)
        self.set_calibration(index.space_id, document)
        return document

    def check_writable(self) -> None:
        """Raise GalleryReadOnly if enrolling would be refused at the moment; tries it, and leaves nothing behind."""
        self._truth.check_writable(by_trying=True)

    def save(self) -> None:
        """Write snapshots of what changed, so that the next start is fast. Nothing acknowledged depends on it."""
        self._live.save()

    def maintain(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Do the housekeeping that is due: rebuild an index, fill it up, save. Runs in the background anyway."""
        self._live.maintain(stop)
        self._truth.tidy()

    def close(self) -> None:
        """Save, and give the folder free. The gallery must not be used afterwards."""
        if self._closed:
            return
        self._closed = True
        self._maintenance.stop()
        try:
            self.save()
        finally:
            self._truth.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, stored: Sequence[tuple[int, Item]], by_space: Mapping[str, changes.Columns]) -> None:
        for space_id, some in by_space.items():
            self._live.put(space_id, [stored[n] for n in some.rows], some.embeddings)

    def _replace(self, gone: int | None, stored: tuple[int, Item], by_space: Mapping[str, changes.Columns]) -> None:
        if gone is not None:
            self._live.remove([gone])
        self._put([stored], by_space)

    def _delete(self, which: Callable[[Connection], Sequence[int]]) -> int:
        with self._changing:
            with self._truth.write() as connection:
                keys = which(connection)
                changes.remove(connection, keys)
            self._replication.publish(lambda: self._live.remove(keys))
        if keys:
            self._maintenance.note(len(keys))
        return len(keys)
