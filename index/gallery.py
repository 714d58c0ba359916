"""The gallery: enrolled ears, durable before the answer, and the nearest of them to a vector.

Composes the truth (a database), one set of neighbours per space (a cache in memory) and a folder lock. Knows vectors by
their width and the id of their space; knows no model, no picture format and no HTTP. Safe to use from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from types import TracebackType
from typing import Final, Literal, NamedTuple, TypeVar

from numpy.typing import ArrayLike
from sqlalchemy import Connection

from index import enrolment
from index.drift import DriftReport, Sample, measure_drift
from index.errors import BadFilter, DuplicateItem
from index.items import Filter, Hit, Item, NewItem, Page, Probe, Side, SubjectHit, Vectors, composed
from index.live_spaces import LiveSpaces, Make
from index.maintenance import MaintenanceThread
from index.promotion import Spaces
from index.replication import LogFollower, Replication, SingleWriter
from index.search import Searcher, probes_of
from index.store import changes, cursor, rows
from index.store.lock import FolderLock
from index.store.schema import begin_ledger, migrate
from index.store.space_rows import open_active
from index.store.truth import Truth

OnDuplicate = Literal["add", "return", "reject"]
Items = list[Item]
Outcomes = list["Outcome"]
QueryHits = list[Hit]
QuerySubjectHits = list[SubjectHit]
Hits = list[QueryHits]
SubjectHits = list[QuerySubjectHits]
T = TypeVar("T")
PAGE_LIMIT = 1000


class Outcome(NamedTuple):
    """What became of an item to enrol: the enrolled item, and whether it is new."""

    item: Item
    added: bool


class Keep(Enum):
    """The default of `Gallery.patch`: None is a value there."""

    KEEP = "keep"


KEEP = Keep.KEEP


class Gallery:
    """See `index.opening`. Every change is durable when its method returns, and is seen by the next search."""

    def __init__(
        self, truth: Truth, make: Make, dim: int, space_id: str, lock: FolderLock | None, shared: bool = False
    ) -> None:
        self._truth = truth
        self._lock = lock
        self._changing = threading.Lock()  # the order of commits is the order in which the indexes learn of them
        self._closed = False
        with truth.write() as connection:
            migrate(connection)
            begin_ledger(connection)
            known = open_active(connection, space_id, dim)
            sequence = rows.read_ledger(connection).seq
        self._live = LiveSpaces(known, make)
        self._replication: Replication = SingleWriter()
        if shared:
            self._replication = LogFollower(truth, self._live, self._changing, sequence - 1)
        self._replication.follow()
        self._maintenance = MaintenanceThread(self.maintain)
        self.spaces: Final = Spaces(truth, self._live, self._changing, self._replication)

    # Reading

    @property
    def space_id(self) -> str:
        """The active space."""
        return self._live.active

    def get(self, item_id: str) -> Item:
        """Raises ItemNotFound."""
        return self._read(lambda connection: rows.get(connection, item_id)[1])

    def crop(self, item_id: str) -> bytes:
        """The stored source crop, as the file that was enrolled. Raises ItemNotFound."""
        return self._read(lambda connection: rows.crop(connection, item_id))

    def vectors(self, item_id: str, space_id: str | None = None) -> Vectors | None:
        """An item's vectors in a space (the active one by default); None where it has none there yet."""
        index = self._live.index(space_id)
        return self._read(lambda connection: rows.vectors_of(connection, item_id, index.space_id, index.dim))

    def vectors_of(self, item_ids: Sequence[str], space_id: str | None = None) -> dict[str, Vectors]:
        """The vectors of several items by id, in a space (the active one by default), where they have any."""
        index = self._live.index(space_id)

        def question(connection: Connection) -> dict[str, Vectors]:
            keys = rows.keys_of(connection, item_ids)
            ids = {key: item.id for key, item in rows.get_many(connection, keys).items()}
            pairs = rows.pairs(connection, index.space_id, index.dim, keys)
            return {ids[int(key)]: Vectors(mu, embedding) for key, mu, embedding in zip(*pairs, strict=True)}

        return self._read(question)

    def list(self, after: str | None = None, limit: int = 100, filter: Filter | None = None) -> Page:
        """Items in the order of enrolment, `limit` at a time; `after` is the `next_cursor` of the page before."""
        if not 1 <= limit <= PAGE_LIMIT:
            raise BadFilter(f"limit is {limit}: give 1 to {PAGE_LIMIT}")
        key = cursor.decode(after)
        found = self._read(lambda connection: rows.page(connection, key, limit + 1, filter or Filter()))
        more = cursor.encode(found[limit - 1][0]) if len(found) > limit else None
        return Page(tuple(item for _, item in found[:limit]), more)

    def find_content(self, hashes: Sequence[str]) -> dict[str, Sequence[str]]:
        """Which of these content hashes (`Item.sha256`) are enrolled, and under which ids."""
        return dict(self._read(lambda connection: rows.by_content(connection, hashes)))

    def count(self, filter: Filter | None = None) -> int:
        """How many items there are (that a filter admits)."""
        return self._read(lambda connection: rows.count(connection, filter or Filter()))

    @property
    def sequence(self) -> int:
        """The number of the last change."""
        return self._read(rows.read_ledger).seq

    def search(
        self,
        embeddings: ArrayLike,
        k: int = 10,
        filter: Filter | None = None,
        space_id: str | None = None,
        threshold: float | None = None,
    ) -> Hits:
        """The `k` nearest items of each query, best first, at least `threshold` similar.

        `embeddings`: (Q, D) or (D,) float32 of any length above 0, from encoder `space_id` (the active one by default).
        The filter is evaluated inside the search: fewer than `k` hits mean that no more items are admitted.
        Raises SpaceMismatch, BadVector, BadFilter.
        """
        return self._searcher(space_id).items(embeddings, k, filter, threshold)

    def search_subjects(
        self,
        embeddings: ArrayLike,
        k: int = 10,
        per_subject: int = 1,
        filter: Filter | None = None,
        space_id: str | None = None,
        threshold: float | None = None,
    ) -> SubjectHits:
        """Like `search`, grouped: each query's `k` nearest subjects, with their `per_subject` nearest items each."""
        searcher = self._searcher(space_id)
        probes = probes_of(embeddings, searcher.dim, filter)
        return [searcher.subjects_of_probes([probe], k, per_subject, threshold) for probe in probes]

    def search_probes(
        self, probes: Sequence[Probe], k: int = 10, space_id: str | None = None, threshold: float | None = None
    ) -> QueryHits:
        """The `k` nearest items of one query with several probes, best first; none are found where there is no probe.

        Raises what `search` raises.
        """
        return self._searcher(space_id).items_of_probes(probes, k, threshold)

    def search_probes_subjects(
        self,
        probes: Sequence[Probe],
        k: int = 10,
        per_subject: int = 1,
        space_id: str | None = None,
        threshold: float | None = None,
    ) -> QuerySubjectHits:
        """Like `search_probes`, grouped: the `k` nearest subjects, with their `per_subject` nearest items each."""
        return self._searcher(space_id).subjects_of_probes(probes, k, per_subject, threshold)

    def probe_of(self, item_id: str, filter: Filter | None = None, space_id: str | None = None) -> Probe:
        """An enrolled item as a query that does not meet itself. Raises ItemNotFound, BadFilter, SpaceMismatch."""
        vectors = self.vectors(item_id, space_id)
        if vectors is None:
            raise BadFilter(f"item {item_id} has no vector in space {space_id}: wait until the promotion has filled it")
        filter = filter or Filter()
        return Probe(vectors.embedding, replace(filter, exclude_item_ids=(*filter.exclude_item_ids, item_id)))

    def _searcher(self, space_id: str | None) -> Searcher:
        self._replication.follow()
        index = self._live.index(space_id)
        return Searcher(self._truth, index.neighbours, index.dim)

    def drift(self, recent: int = 200, space_id: str | None = None) -> tuple[DriftReport, Sample]:
        """How the last `recent` ears lie beside those before them, and which ears were looked at."""
        index = self._live.index(space_id)
        return self._read(lambda connection: measure_drift(connection, index.space_id, index.dim, recent))

    # Writing

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
        self._replication.prepare()
        dims, own = self._live.dims(), space_id or self.space_id
        items = [enrolment.without_retired(item, dims) for item in items]
        given = enrolment.columns(items, own, dims)
        with self._changing:
            self._truth.check_writable()
            given = {name: some for name, some in given.items() if name in self._live.dims()}  # others were retired
            enrolment.check_covers(given, self.space_id, len(items))
            with self._truth.write() as connection:
                earlier = {} if on_duplicate == "add" else changes.find_duplicates(connection, items)
                if earlier and on_duplicate == "reject":
                    raise DuplicateItem(*next(iter(earlier.items())))
                new = [n for n in range(len(items)) if n not in earlier]
                given = {name: columns.of(new) for name, columns in given.items()}
                stored = changes.enrol(connection, [items[n] for n in new], given)
                outcomes = {n: Outcome(item, True) for n, (_, item) in zip(new, stored, strict=True)}
                for n, twin in earlier.items():
                    item = outcomes[twin].item if isinstance(twin, int) else rows.get(connection, twin)[1]
                    outcomes[n] = Outcome(item, False)
            self._replication.publish(lambda: self._put(stored, given))
        self._maintenance.note(len(stored))
        return [outcomes[n] for n in range(len(items))]

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
        given = {"subject": subject, "side": side, "tags": tags, "source": source}
        given = {name: value for name, value in given.items() if value is not KEEP}
        with self._changing:
            fresh = None if vectors is None else enrolment.replacement(vectors, self.space_id, self._live.dims())
            with self._truth.write() as connection:
                old, item = rows.get(connection, item_id)
                patch = enrolment.patched(item, given, fresh is not None)
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

    # Within

    def _read(self, question: Callable[[Connection], T]) -> T:
        with self._truth.read() as connection:
            return question(connection)

    def _put(self, stored: Sequence[tuple[int, Item]], given: Mapping[str, changes.Columns]) -> None:
        for space_id, some in given.items():
            self._live.put(space_id, [stored[n] for n in some.rows], some.embeddings)

    def _delete(self, which: Callable[[Connection], Sequence[int]]) -> int:
        with self._changing:
            with self._truth.write() as connection:
                keys = which(connection)
                changes.remove(connection, keys)
            self._replication.publish(lambda: self._live.remove(keys))
        if keys:
            self._maintenance.note(len(keys))
        return len(keys)
