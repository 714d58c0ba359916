"""One space's neighbours in Milvus, kept up with a shared truth by whichever process comes first.

How far Milvus has followed is written down in the truth itself, inside the writers' line: a process that dies between a
commit and Milvus leaves the rest to the next one, and doing it twice does no harm.
"""

from __future__ import annotations

from collections.abc import Callable

from pymilvus import MilvusClient
from sqlalchemy import Connection, delete, insert, select

from index.ann.brute_force import Source
from index.ann.milvus_neighbours import TIMEOUT_S, MilvusNeighbours, reachable
from index.ann.recall import measure
from index.neighbours import RecallReport, State
from index.store import rows
from index.store.changelog import read_tail
from index.store.space_rows import read_spaces
from index.store.tables import watermarks
from index.store.truth import Truth

WINDOW = 2000  # changes that are mirrored in one transaction


def milvus_indexes(address: str, truth: Truth, token: str = "") -> Callable[[str, int], MilvusIndex]:
    """What makes the index of a space: a collection in the Milvus at `address` (a URL, or a file for Milvus Lite)."""
    with reachable():
        client = MilvusClient(address, token=token, timeout=TIMEOUT_S)
    return lambda space_id, dim: MilvusIndex(client, truth, space_id, dim)


class MilvusIndex:
    """See `live_spaces.Index`. The collection is named by the space and the life of the truth, so lives never mix."""

    def __init__(self, client: MilvusClient, truth: Truth, space_id: str, dim: int) -> None:
        self.space_id = space_id
        self.dim = dim
        self.recall: RecallReport | None = None
        self._truth = truth
        with truth.write() as connection:  # in the writers' line: two processes must not create it at once
            self._name = f"{space_id}_{rows.read_ledger(connection).epoch[:8]}"
            self.neighbours = MilvusNeighbours(client, self._name, dim)
            if self.neighbours.created:
                connection.execute(delete(watermarks).where(watermarks.c.name == self._name))
        self.catch_up()

    def state(self) -> State:
        """How the neighbours are kept."""
        return State("milvus", 0, len(self.neighbours), 0, 0)

    def catch_up(self) -> None:
        """Let Milvus learn what it has not learned yet. Only who sees that something is missing joins the line."""
        with self._truth.read() as connection:
            behind = self._followed(connection) < rows.read_ledger(connection).seq
        while behind:
            behind = self._follow_one_window()

    def measure_recall(self, sample: int, stop: Callable[[], bool]) -> RecallReport:
        """Compare searches with exact ones on `sample` stored vectors. Raises Stopped."""
        source = Source(self._truth, self.space_id, self.dim, 1, stop)
        self.recall = measure(source, self.neighbours, self.state(), sample)
        return self.recall

    def remove(self) -> None:
        """Delete the collection, unless the space has come to life again meanwhile."""
        with self._truth.write() as connection:
            space = read_spaces(connection).get(self.space_id)
            if space is not None and space.state != "retiring":
                return
            self.neighbours.drop()
            connection.execute(delete(watermarks).where(watermarks.c.name == self._name))

    def _follow_one_window(self) -> bool:
        """Mirror the next changes; returns whether there may be more."""
        with self._truth.write() as connection:
            after = self._followed(connection)
            last = rows.read_ledger(connection).seq
            until = min(after + WINDOW, last)
            if after < until:
                read_tail(connection, self.space_id, self.dim, after, until).apply(self.neighbours)
                connection.execute(delete(watermarks).where(watermarks.c.name == self._name))
                connection.execute(insert(watermarks), [{"name": self._name, "seq": until}])
            return until < last

    def _followed(self, connection: Connection) -> int:
        return connection.scalar(select(watermarks.c.seq).where(watermarks.c.name == self._name)) or 0
