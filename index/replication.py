"""How the indexes of an open gallery learn of changes: from the process that made them, or from the truth's own log.

An embedded gallery has one writer, so what it commits it also puts into its indexes. Where several processes share a
truth, each follows the log instead, its own changes included, before it answers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from index.errors import GalleryError, NeighboursUnavailable
from index.live_spaces import LiveSpaces
from index.store import rows
from index.store.space_rows import read_spaces
from index.store.truth import Truth

log = logging.getLogger(__name__)


class Replication(Protocol):
    """How indexes keep up with the truth."""

    def follow(self) -> None:
        """Before an answer: learn what others have committed. The gallery's writing lock must not be held."""

    def prepare(self) -> None:
        """Before a change: learn which spaces others have made or activated. The writing lock must not be held."""

    def publish(self, apply: Callable[[], None]) -> None:
        """After a commit, with the gallery's writing lock held: `apply` puts that one change into the indexes."""


class SingleWriter:
    """One process owns the truth: there is nothing to follow."""

    def follow(self) -> None:
        return

    def prepare(self) -> None:
        return

    def publish(self, apply: Callable[[], None]) -> None:
        apply()


class LogFollower:
    """Several processes share the truth: every index replays the tail of its log.

    A change is acknowledged once the truth has it: neighbours that do not answer fail searches, never writes.
    """

    def __init__(self, truth: Truth, live: LiveSpaces, changing: threading.Lock, seen: int) -> None:
        self._truth = truth
        self._live = live
        self._changing = changing
        self._seen = seen

    def follow(self) -> None:
        with self._truth.read() as connection:
            sequence = rows.read_ledger(connection).seq
        if sequence != self._seen:
            with self._changing:
                self._catch_up()

    def prepare(self) -> None:
        try:
            self.follow()
        except NeighboursUnavailable as error:
            log.warning("a change is taken all the same; searches learn of it later: %s", error)

    def publish(self, apply: Callable[[], None]) -> None:
        # Others may have committed before this change: replaying the log keeps the order without asking.
        # The truth may be lost in just this moment; the change is in it, and whoever is told otherwise sends it twice.
        try:
            self._catch_up()
        except GalleryError as error:
            log.warning("a change is kept that searches will learn of later: %s", error)

    def _catch_up(self) -> None:
        with self._truth.read() as connection:
            sequence = rows.read_ledger(connection).seq
            self._live.reconcile(read_spaces(connection))
        self._live.catch_up()
        self._seen = sequence
