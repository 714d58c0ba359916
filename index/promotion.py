"""A gallery's spaces through a promotion: stage a new encoder's, fill it, compare, activate, roll back, retire.

Knows which vectors are lacking, not how to compute them. While a space is live it receives every write, so going back
loses nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from index.compare import Comparison, Paired, compare
from index.enrolment import column
from index.errors import BadVector, PromotionRefused
from index.items import Vectors
from index.live_spaces import LiveSpaces
from index.neighbours import RecallReport, State
from index.replication import Replication
from index.store import rows, space_rows
from index.store.space_rows import Pending, Space
from index.store.truth import Truth

RETIRE_BATCH = 1000


@dataclass(frozen=True)
class SpaceStatus:
    """A space and how far it is filled: `items` of the gallery's have vectors in it, `lacking` have not.

    `index` tells how its neighbours are kept, `recall` how much they find (None: never measured, or exact).
    """

    space: Space
    items: int
    lacking: int
    index: State
    recall: RecallReport | None


class Spaces:
    """See `Gallery.spaces`. `changing` is the gallery's writing lock."""

    def __init__(self, truth: Truth, live: LiveSpaces, changing: threading.Lock, replication: Replication) -> None:
        self._truth = truth
        self._live = live
        self._changing = changing
        self._replication = replication
        self._finish_retiring()

    def all(self) -> list[Space]:
        """Every live space, the oldest first, uncounted."""
        with self._truth.read() as connection:
            return [space for space in space_rows.read_spaces(connection).values() if space.state != "retiring"]

    def status(self) -> list[SpaceStatus]:
        """Every live space, the oldest first."""
        self._replication.prepare()
        with self._truth.read() as connection:
            spaces = [space for space in space_rows.read_spaces(connection).values() if space.state != "retiring"]
            total = rows.read_ledger(connection).item_count
            counts = [rows.count_vectors(connection, space.space_id) for space in spaces]
        indexes = [self._live.index(space.space_id) for space in spaces]
        return [
            SpaceStatus(space, count, total - count, index.state(), index.recall)
            for space, count, index in zip(spaces, counts, indexes, strict=True)
        ]

    def measure_recall(self, space_id: str | None = None, sample: int = 200) -> RecallReport:
        """Compare searches of a space with exact ones, on `sample` of its own vectors. Reads every stored vector."""
        return self._live.index(space_id).measure_recall(sample, lambda: False)

    def stage(self, space_id: str, dim: int) -> Space:
        """Make a space for a new encoder beside the active one; a space that is live already is returned as it is.

        Raises BadVector if it is live with another `dim`.
        """
        with self._changing:
            with self._truth.write() as connection:
                existing = space_rows.read_spaces(connection).get(space_id)
                if existing is not None and existing.dim != dim:
                    raise BadVector(f"dim is {dim}, but space {space_id} holds vectors of {existing.dim} numbers")
                if existing is not None and existing.state == "retiring":
                    raise PromotionRefused(f"space {space_id} is being retired: try again when that has ended")
                space = existing or space_rows.add_space(connection, space_id, dim, "staged")
            if existing is None:
                self._replication.publish(lambda: self._live.add(space_id, dim))
        return space

    def pending(self, space_id: str, after: int = 0, limit: int = 64) -> list[Pending]:
        """Items that a space lacks, with their crops, in the order of enrolment; `after` is the last `key` seen."""
        self._replication.prepare()
        self._live.index(space_id)
        with self._truth.read() as connection:
            return space_rows.pending(connection, space_id, after, limit)

    def fill(self, space_id: str, filled: Sequence[tuple[Pending, Vectors]]) -> int:
        """Store vectors of pending items, durably; returns how many. What changed or went meanwhile is passed over."""
        self._replication.prepare()
        index = self._live.index(space_id)
        if not filled:
            return 0
        columns = column([(n, vectors) for n, (_, vectors) in enumerate(filled)], index.dim)
        keys = [pending.key for pending, _ in filled]
        with self._changing:
            self._truth.check_writable()
            with self._truth.write() as connection:
                stored = space_rows.fill(connection, space_id, keys, columns)
            kept = {key for key, _ in stored}
            embeddings = columns.embeddings[[n for n, key in enumerate(keys) if key in kept]]
            self._replication.publish(lambda: self._live.put(space_id, stored, embeddings))
        return len(stored)

    def activate(self, space_id: str, missing_allowed: int = 0) -> None:
        """Make a space the one that answers; the one before is retained. Takes effect at once and is durable.

        Raises PromotionRefused while more than `missing_allowed` items lack vectors in it: they would not be found.
        """
        self._replication.prepare()
        with self._changing:
            self._live.index(space_id)
            if space_id == self._live.active:
                return
            with self._truth.write() as connection:
                missing = space_rows.count_lacking(connection, space_id)
                if missing > missing_allowed:
                    raise PromotionRefused(
                        f"{missing} items have no vectors in space {space_id} and would not be found: fill them first, "
                        f"or allow it (missing_allowed is {missing_allowed})"
                    )
                space_rows.set_state(connection, self._live.active, "retained")
                space_rows.set_state(connection, space_id, "active")
                spaces = space_rows.read_spaces(connection)
            self._replication.publish(lambda: self._live.reconcile(spaces))

    def rollback(self, missing_allowed: int = 0) -> str:
        """Activate the space that was active before; returns its id. Raises PromotionRefused if there is none."""
        with self._truth.read() as connection:
            spaces = space_rows.read_spaces(connection).values()
        retained = [space for space in spaces if space.state == "retained"]
        if not retained:
            raise PromotionRefused("no earlier space is retained: there is nothing to go back to")
        earlier = max(retained, key=lambda space: space.activated or "")
        self.activate(earlier.space_id, missing_allowed)
        return earlier.space_id

    def retire(self, space_id: str) -> None:
        """Delete a space and all its vectors. Raises PromotionRefused for the active one, SpaceMismatch for none."""
        self._replication.prepare()
        with self._changing:
            self._live.index(space_id)
            if space_id == self._live.active:
                raise PromotionRefused(f"space {space_id} is active: activate another one first")
            with self._truth.write() as connection:
                space_rows.set_state(connection, space_id, "retiring")
            self._replication.publish(lambda: self._live.drop(space_id))
        self._finish_retiring()

    def compare(self, a: str, b: str, sample: int = 500, seed: int = 0) -> Comparison:
        """How far two spaces agree about who is near whom, over `sample` random items that are in both."""
        return compare(self._truth, self._live.index(a), self._live.index(b), sample, seed)

    def paired(self, a: str, b: str, sample: int = 2000, seed: int = 0) -> Paired:
        """Up to `sample` random items that are in both spaces, with their embeddings in each."""
        return Paired.draw(self._truth, self._live.index(a), self._live.index(b), sample, seed)

    def _finish_retiring(self) -> None:
        """Delete what is left of spaces that are being retired, a little at a time so that others can write between."""
        with self._truth.read() as connection:
            spaces = space_rows.read_spaces(connection).values()
        for space in spaces:
            if space.state == "retiring":
                self._live.drop(space.space_id)
                self._empty(space.space_id)

    def _empty(self, space_id: str) -> None:
        while True:
            with self._changing, self._truth.write() as connection:
                if not space_rows.remove_vectors(connection, space_id, RETIRE_BATCH):
                    space_rows.remove_space(connection, space_id)
                    return
