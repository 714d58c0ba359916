"""One search: queries checked, the filter resolved, neighbours asked, hits read from the truth, grouped where asked.

A query may have several probes (an ear of unknown side is looked for in both orientations): an item counts with its
best similarity over all of them, and this is settled before anything is cut to `k`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from index.errors import BadFilter
from index.items import Filter, Hit, Item, Probe, SubjectHit
from index.neighbours import Keys, Matrix, Neighbours, Selection
from index.store import rows
from index.store.truth import Truth
from index.vectors import as_matrix, as_unit

K_LIMIT = 10_000
ATTEMPTS = 4
AT_ONCE = 1000  # hits that are looked for at once: of an approximate index up to ten times as many vectors are read
COMPLETED_AT_ONCE = 1000  # ears of the subjects of an answer up to which one search completes all of them


class UnitProbe(NamedTuple):
    """A checked probe: embedding (1, D) of unit length, and its filter as given and with keys for item ids."""

    embedding: Matrix
    filter: Filter
    selection: Selection | None


@dataclass(frozen=True)
class Searcher:
    """Searches of one space. `dim` is the width of its vectors."""

    truth: Truth
    neighbours: Neighbours
    dim: int

    def items(self, embeddings: ArrayLike, k: int, filter: Filter | None, threshold: float | None) -> list[list[Hit]]:
        """See `Gallery.search`."""
        queries = as_unit(embeddings, self.dim)
        check_question(k, threshold)
        selection = self._select(filter)
        step = max(1, AT_ONCE // k)
        parts = [queries[start : start + step] for start in range(0, len(queries), step)]
        return [hits for part in parts for hits in self._nearest(part, k, selection, threshold)]

    def items_of_probes(self, probes: Sequence[Probe], k: int, threshold: float | None) -> list[Hit]:
        """See `Gallery.search_probes`."""
        check_question(k, threshold)
        return merged([self._hits(probe, k, threshold) for probe in self._checked(probes)])[:k]

    def subjects_of_probes(
        self, probes: Sequence[Probe], k: int, per_subject: int, threshold: float | None
    ) -> list[SubjectHit]:
        """See `Gallery.search_probes_subjects`."""
        check_question(k, threshold)
        if per_subject < 1:
            raise BadFilter(f"per_subject is {per_subject}: give 1 or more")
        checked = self._checked(probes)
        groups, unseen = self._nearest_groups(checked, k, per_subject, threshold)
        return self._completed(checked, groups, unseen, per_subject, threshold)

    def _nearest_groups(
        self, probes: Sequence[UnitProbe], k: int, per_subject: int, threshold: float | None
    ) -> tuple[list[SubjectHit], float]:
        """The `k` nearest subjects, with those of their items that were met on the way, and what others can reach.

        Asks for more items until no item that was not met can belong to a nearer subject.
        """
        count = min(k * max(4, per_subject), K_LIMIT)
        while True:
            lists = [self._hits(probe, count, threshold) for probe in probes]
            groups = grouped(merged(lists))
            unseen = max((hits[-1].similarity for hits in lists if len(hits) == count), default=-math.inf)
            settled = len(groups) >= k and groups[k - 1].similarity >= unseen
            if settled or unseen == -math.inf or count == K_LIMIT:
                return groups[:k], unseen
            count = min(4 * count, K_LIMIT)

    def _completed(
        self,
        probes: Sequence[UnitProbe],
        groups: Sequence[SubjectHit],
        unseen: float,
        per_subject: int,
        threshold: float | None,
    ) -> list[SubjectHit]:
        """Every group with its `per_subject` nearest items, also those farther away than what was met before.

        Of similarities up to `unseen`, neither which items have them nor that they are an item's best is known.
        """
        names = [
            group.subject
            for group in groups
            if group.subject and sum(hit.similarity >= unseen for hit in group.hits) < per_subject
        ]
        with self.truth.read() as connection:
            counts = rows.count_by_subject(connection, names if unseen > -math.inf else ())
        whole_already = {group.subject for group in groups if len(group.hits) == counts.get(group.subject or "", 0)}
        lacking = [name for name in counts if len(probes) > 1 or name not in whole_already]
        total = sum(counts[name] for name in lacking)
        if total <= COMPLETED_AT_ONCE:
            whole = self._groups_of(probes, lacking, total, threshold)
        else:
            whole = {}
            for name in lacking:
                whole |= self._groups_of(probes, [name], min(per_subject, K_LIMIT), threshold)
        complete = [whole.get(group.subject, group) if group.subject else group for group in groups]
        return [replace(group, hits=group.hits[:per_subject]) for group in complete]

    def _groups_of(
        self, probes: Sequence[UnitProbe], names: Sequence[str], count: int, threshold: float | None
    ) -> dict[str | None, SubjectHit]:
        """The `count` nearest items of these subjects, by subject."""
        if not names:
            return {}
        narrowed = [
            replace(probe.filter, subjects=tuple(name for name in names if name in (probe.filter.subjects or names)))
            for probe in probes
        ]
        checked = [UnitProbe(probe.embedding, f, self._select(f)) for probe, f in zip(probes, narrowed, strict=True)]
        lists = [self._hits(probe, count, threshold) for probe in checked if probe.filter.subjects]
        return {group.subject: group for group in grouped(merged(lists))}

    def _checked(self, probes: Sequence[Probe]) -> list[UnitProbe]:
        """Probes of one query in one consistent form; the filter of each is resolved once."""
        return [UnitProbe(as_unit(p.embedding, self.dim), p.filter, self._select(p.filter)) for p in probes]

    def _hits(self, probe: UnitProbe, k: int, threshold: float | None) -> list[Hit]:
        (hits,) = self._nearest(probe.embedding, k, probe.selection, threshold)
        return hits

    def _nearest(
        self, queries: Matrix, k: int, selection: Selection | None, threshold: float | None
    ) -> list[list[Hit]]:
        spare = 0
        for _ in range(ATTEMPTS):
            keys, cosines = self.neighbours.search(queries, k + spare, selection)
            hit_keys = {int(key) for key in keys.ravel() if key >= 0}
            with self.truth.read() as connection:
                items = rows.get_many(connection, hit_keys)
            # What is deleted at this moment may still be among the neighbours: its place is given to the next nearest.
            gone = len(hit_keys) - len(items)
            if gone <= spare:
                break
            spare = 2 * gone
        return [hits[:k] for hits in to_hits(keys, cosines, items, threshold)]

    def _select(self, filter: Filter | None) -> Selection | None:
        """The filter with keys in the place of item ids; None where it asks nothing."""
        if not filter:
            return None
        keys: tuple[int, ...] | None = None
        excluded: tuple[int, ...] = ()
        with self.truth.read() as connection:
            if filter.item_ids:
                keys = rows.keys_of(connection, filter.item_ids)
            if filter.exclude_item_ids:
                excluded = rows.keys_of(connection, filter.exclude_item_ids)
        return Selection(filter.subjects, filter.sides, filter.tags, filter.exclude_subjects, keys, excluded)


def merged(lists: Sequence[Sequence[Hit]]) -> list[Hit]:
    """Hits of several probes as one list, best first; each item once, with its best similarity."""
    best: dict[str, Hit] = {}
    for hit in (hit for hits in lists for hit in hits):
        other = best.get(hit.item.id)
        if other is None or hit.similarity > other.similarity:
            best[hit.item.id] = hit
    return sorted(best.values(), key=lambda hit: -hit.similarity)


def grouped(hits: Sequence[Hit]) -> list[SubjectHit]:
    """Hits, best first, as subjects, best first; an item without a subject stands for itself."""
    of_subject: dict[tuple[str, str], list[Hit]] = {}
    for hit in hits:
        key = ("subject", hit.item.subject) if hit.item.subject else ("item", hit.item.id)
        of_subject.setdefault(key, []).append(hit)
    return [SubjectHit(group[0].item.subject, group[0].similarity, tuple(group)) for group in of_subject.values()]


def check_question(k: int, threshold: float | None) -> None:
    """Refuse a k or a threshold that means nothing."""
    if not 1 <= k <= K_LIMIT:
        raise BadFilter(f"k is {k}: give 1 to {K_LIMIT}")
    if threshold is not None and not (math.isfinite(threshold) and -1.0 <= threshold <= 1.0):
        raise BadFilter(f"threshold is {threshold}: a cosine similarity lies in -1 to 1")


def to_hits(keys: Keys, cosines: Matrix, items: dict[int, Item], threshold: float | None) -> list[list[Hit]]:
    """Keys and cosines (Q, k) as hits, without empty places and those below the threshold."""
    floor = -2.0 if threshold is None else threshold
    return [
        [Hit(items[key], cosine) for key, cosine in zip(row, values, strict=True) if key in items and cosine >= floor]
        for row, values in zip(keys.tolist(), cosines.tolist(), strict=True)
    ]


def probes_of(embeddings: ArrayLike, dim: int, filter: Filter | None) -> list[Probe]:
    """One probe per query vector. Raises BadVector."""
    return [Probe(np.asarray(row), filter or Filter()) for row in as_matrix(embeddings, dim)]
