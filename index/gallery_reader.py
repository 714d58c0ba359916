"""The asking half of a gallery: items, lists, vectors and searches. Changes nothing, holds no lock while it reads."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from numpy.typing import ArrayLike
from sqlalchemy import Connection

from index.drift import DriftReport, Sample, measure_drift
from index.errors import BadFilter
from index.items import Filter, Hit, Item, Page, Probe, SubjectHit, Vectors
from index.live_spaces import LiveSpaces
from index.replication import Replication
from index.search import Searcher, probes_of
from index.store import rows, space_rows
from index.store.space_rows import StoredCalibration
from index.store.truth import Truth

QueryHits = list[Hit]
QuerySubjectHits = list[SubjectHit]
Hits = list[QueryHits]
SubjectHits = list[QuerySubjectHits]
T = TypeVar("T")
PAGE_LIMIT = 1000


class GalleryReader:
    """See `Gallery`. Every answer is of one consistent state of the truth."""

    def __init__(self, truth: Truth, live: LiveSpaces, replication: Replication) -> None:
        self._truth = truth
        self._live = live
        self._replication = replication

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

    def all_vectors(self, item_id: str) -> dict[str, Vectors]:
        """An item's vectors by space, in every live space where it has any. Raises ItemNotFound."""
        dims = self._live.dims()
        with self._truth.read() as connection:
            by_space = {name: rows.vectors_of(connection, item_id, name, dim) for name, dim in dims.items()}
        return {name: pair for name, pair in by_space.items() if pair is not None}

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
        key = decode_cursor(after)
        page = self._read(lambda connection: rows.page(connection, key, limit + 1, filter or Filter()))
        more = encode_cursor(page[limit - 1][0]) if len(page) > limit else None
        return Page(tuple(item for _, item in page[:limit]), more)

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

    def calibration(self, space_id: str | None = None) -> StoredCalibration | None:
        """What was kept by `set_calibration` for a space (the active one by default); None where nothing was.

        It stays with its space through activation and rollback, and goes when the space is retired.
        """
        name = self._live.index(space_id).space_id
        return self._read(lambda connection: space_rows.read_calibration(connection, name))

    def drift(self, recent: int = 200, space_id: str | None = None) -> tuple[DriftReport, Sample]:
        """How the last `recent` ears lie beside those before them, and which ears were looked at."""
        index = self._live.index(space_id)
        return self._read(lambda connection: measure_drift(connection, index.space_id, index.dim, recent))

    def _read(self, question: Callable[[Connection], T]) -> T:
        with self._truth.read() as connection:
            return question(connection)


def encode_cursor(key: int) -> str:
    """The cursor of everything after `key`: an opaque text that a caller hands back."""
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> int:
    """The key that a cursor stands behind; 0 for no cursor. Raises BadFilter."""
    if cursor is None:
        return 0
    try:
        word, _, key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        if word != "after":
            raise ValueError(word)
        return int(key)
    except (ValueError, binascii.Error):
        raise BadFilter(f"cursor is {cursor!r:.80}: give `next_cursor` of the page before, or none") from None
