"""One space of an open gallery: its neighbours in memory, maintained in the background, and saved as snapshots.

Decides when an index is rebuilt, when it takes in its backlog and when it is worth saving; how is known elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from index.ann.approximate import ApproximateIndex
from index.ann.brute_force import Source, Stopped
from index.ann.choice import build_exact, choose, fill_large, new_large
from index.ann.faiss_neighbours import FaissNeighbours
from index.ann.recall import measure, tune
from index.ann.snapshot import Snapshots, Stamp, fill_from_snapshot
from index.config import GalleryConfig
from index.neighbours import Keys, Kind, Matrix, RecallReport, State
from index.store import rows
from index.store.changelog import read_tail
from index.store.truth import Truth

log = logging.getLogger(__name__)

ABSORB_AT = 4096  # vectors in the exact part at which the approximate one takes them in: about a millisecond of search
DEAD_LIMIT = 0.2  # share of dead rows at which an approximate part is built anew
GROWTH_LIMIT = 4  # growth since training at which cells, or directions, are learned anew
TUNED_FOR = 1.5  # growth since tuning at which an approximate part is tuned again
LARGE_FROM = 1000  # vectors below which no approximate part is built, whatever the settings say: nothing to learn from
WINDOW = 2000  # changes of others that are read at once
CHANGED_SHARE = 20  # a twentieth of a gallery changed is worth a snapshot
REST = 10  # no snapshot for so many times as long as the last took: an import would write its gallery twenty times


def faiss_indexes(folder: Path, truth: Truth, config: GalleryConfig) -> Callable[[str, int], SpaceIndex]:
    """What makes the index of a space: FAISS in this process, its snapshots in a subfolder."""
    return lambda space_id, dim: SpaceIndex(folder / space_id, truth, space_id, dim, config)


class SpaceIndex:
    """The FAISS neighbours of one space, and their snapshots in `folder`."""

    def __init__(self, folder: Path, truth: Truth, space_id: str, dim: int, config: GalleryConfig) -> None:
        self.space_id = space_id
        self.dim = dim
        self.neighbours = FaissNeighbours(dim, config.threads, self._fetch)
        self.recall: RecallReport | None = None
        self._truth = truth
        self._config = config
        self._maintaining = threading.Lock()
        self._closed = threading.Event()
        self._snapshots = Snapshots(folder)
        self._saved_sequence = -1
        self._saved_at = time.monotonic()
        self._saving_s = 0.0  # what the last snapshot took
        self._trained_on = 0
        self._seen = 0  # the change up to which the neighbours have surely learned
        self._load()

    def save(self) -> None:
        """Write a snapshot if anything changed since the last one. Searches go on meanwhile."""
        with self._maintaining:
            ledger = self._ledger()
            if ledger.seq != self._saved_sequence and not self._closed.is_set():
                self._write(ledger)

    def maintain(self, stop: Callable[[], bool]) -> None:
        """Do what is due: rebuild, take in the backlog, save. Returns early once `stop()` says so."""
        with self._maintaining:
            try:
                self._reshape(lambda: stop() or self._closed.is_set())
            except Stopped:
                return
            ledger = self._ledger()
            if self._worth_saving(ledger) and not self._closed.is_set():
                self._write(ledger)

    def measure_recall(self, sample: int, stop: Callable[[], bool]) -> RecallReport:
        """Compare searches with exact ones on `sample` stored vectors. Raises Stopped."""
        self.recall = measure(self._source(stop), self.neighbours, self.state(), sample)
        return self.recall

    def state(self) -> State:
        """How the neighbours are kept."""
        return self.neighbours.state()

    def catch_up(self) -> None:
        """Learn what others have committed to a shared truth."""
        with self._truth.read() as connection:
            last = rows.read_ledger(connection).seq
            while self._seen < last:
                until = min(self._seen + WINDOW, last)
                read_tail(connection, self.space_id, self.dim, self._seen, until).apply(self.neighbours)
                self._seen = until

    def remove(self) -> None:
        """End what runs in the background, and delete the snapshots."""
        self._closed.set()
        with self._maintaining:
            self._snapshots.remove()

    def _load(self) -> None:
        ledger = self._ledger()
        self._seen = ledger.seq
        snapshot = self._snapshots.load(self._stamp(ledger))
        if snapshot is not None:
            facts = snapshot[1]
            self._saved_sequence = facts["sequence"]
            self._trained_on = facts.get("trained_on", 0)
            self.recall = RecallReport(**facts["recall"]) if facts.get("recall") else None
        fill_from_snapshot(self.neighbours, self._truth, self.space_id, snapshot)

    def _reshape(self, stop: Callable[[], bool]) -> None:
        state = self.neighbours.state()
        kind = self._wanted(state)
        if kind != state.kind or self._worn(state):
            self._rebuild(kind, stop)
            return
        if state.kind != "exact" and state.backlog >= ABSORB_AT:
            self.neighbours.absorb(stop)
        self._tune_again(stop)

    def _wanted(self, state: State) -> Kind:
        count = len(self.neighbours)
        return "exact" if count < LARGE_FROM else choose(count, self.dim, self._config, state.kind)

    def _worn(self, state: State) -> bool:
        """Whether an approximate part is better built anew than kept."""
        if state.kind == "exact":
            return False
        outgrown = state.large > GROWTH_LIMIT * max(1, self._trained_on)
        return outgrown or state.dead > DEAD_LIMIT * state.large or state.backlog > max(ABSORB_AT, state.large)

    def _rebuild(self, kind: Kind, stop: Callable[[], bool]) -> None:
        started, count = time.monotonic(), len(self.neighbours)
        source = self._source(stop)
        if kind == "exact":
            self.neighbours.install_exact(build_exact(source))
            self.recall = None
        else:
            large, self.recall = self._built(source, kind, count)
            self.neighbours.install_large(large)
        self._trained_on = count
        self._saved_sequence = -1
        log.info("space %s: %s of %d vectors built in %.1f s", self.space_id, kind, count, time.monotonic() - started)

    def _built(self, source: Source, kind: Kind, count: int) -> tuple[ApproximateIndex, RecallReport]:
        """An approximate part that finds what it should, or as much as its kind can."""
        target = self._config.recall_target
        empty: ApproximateIndex | None = new_large(kind, self.dim, count)
        while empty is not None:
            large = fill_large(source, empty, count)
            report = tune(source, large, target)
            if report.recall >= target:
                break
            log.warning("space %s: recall %.3f is below %.3f at every effort", self.space_id, report.recall, target)
            empty = large.wider()
        return large, report

    def _tune_again(self, stop: Callable[[], bool]) -> None:
        """As a part grows, the same effort finds less: look for it anew, and where none is enough learn anew."""
        large = self.neighbours.large()
        if large is None or self.recall is None or len(large) <= TUNED_FOR * self.recall.items:
            return
        report = tune(self._source(stop), large, self._config.recall_target)
        if report.recall < self._config.recall_target:
            self._rebuild(large.kind, stop)
        else:
            self.recall, self._saved_sequence = report, -1

    def _worth_saving(self, ledger: rows.Ledger) -> bool:
        changes = ledger.seq - self._saved_sequence
        enough = max(self._config.snapshot_changes, ledger.item_count // CHANGED_SHARE)
        holds_deleted = ledger.deleted_seq > self._saved_sequence
        overdue = time.monotonic() - self._saved_at > self._config.snapshot_s
        rested = time.monotonic() - self._saved_at > REST * self._saving_s
        return self._saved_sequence < 0 < ledger.seq or (changes >= enough and rested) or (holds_deleted and overdue)

    def _write(self, ledger: rows.Ledger) -> None:
        # Changes committed from here on may or may not be in the snapshot: a restart compares keys and finds out.
        recall, started = asdict(self.recall) if self.recall else None, time.monotonic()
        with self.neighbours.to_save() as (index, large):
            facts = self._facts(large) | {"recall": recall}
            self._snapshots.write(index, self._stamp(ledger), ledger.deleted_seq, facts)
        self._saved_sequence = ledger.seq
        self._saved_at = time.monotonic()
        self._saving_s = self._saved_at - started

    def _facts(self, large: ApproximateIndex | None) -> dict[str, Any]:
        if large is None:
            return {"kind": "exact"}
        return large.facts() | {"kind": large.kind, "effort": large.effort, "trained_on": self._trained_on}

    def _ledger(self) -> rows.Ledger:
        with self._truth.read() as connection:
            return rows.read_ledger(connection)

    def _stamp(self, ledger: rows.Ledger) -> Stamp:
        return Stamp(self.space_id, ledger.epoch, ledger.seq, self.dim)

    def _source(self, stop: Callable[[], bool]) -> Source:
        return Source(self._truth, self.space_id, self.dim, self._config.threads_to_build(), stop)

    def _fetch(self, keys: Keys) -> tuple[Keys, Matrix]:
        with self._truth.read() as connection:
            return rows.embeddings(connection, self.space_id, self.dim, keys.tolist())
