"""The live spaces of an open gallery: one index per encoder, which of them is active, and what all of them must learn.

Callers hold the gallery's writing lock while they change anything here; reading needs no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from index.errors import SpaceMismatch
from index.items import Item, Vectors
from index.neighbours import Entries, Label, Matrix, Neighbours, RecallReport, State
from index.store.space_rows import Space


class Index(Protocol):
    """The neighbours of one space, with what keeps them: in this process (FAISS), or in a server (Milvus)."""

    space_id: str
    dim: int
    recall: RecallReport | None

    @property
    def neighbours(self) -> Neighbours: ...

    def state(self) -> State: ...

    def catch_up(self) -> None: ...

    def measure_recall(self, sample: int, stop: Callable[[], bool]) -> RecallReport: ...

    def remove(self) -> None:
        """End what runs in the background, and delete what is kept."""


@runtime_checkable
class MaintainedIndex(Index, Protocol):
    """An index in this process: it is rebuilt and saved in the background."""

    def maintain(self, stop: Callable[[], bool]) -> None:
        """Do what is due: rebuild, take in the backlog, save. Returns early once `stop()` says so."""

    def save(self) -> None:
        """Write a snapshot if anything changed since the last one."""


Make = Callable[[str, int], Index]  # space id, numbers per vector -> its index


class LiveSpaces:
    """The indexes of every live space. The mapping is replaced, never changed, so readers need no lock."""

    def __init__(self, spaces: Mapping[str, Space], make: Make) -> None:
        self._make = make
        self._indexes: Mapping[str, Index] = {}
        self.active = ""
        self.reconcile(spaces)

    def reconcile(self, spaces: Mapping[str, Space]) -> None:
        """Open and drop indexes until they are those of `spaces`, the spaces in the truth."""
        live = {name: space for name, space in spaces.items() if space.state != "retiring"}
        for name in [name for name in self._indexes if name not in live]:
            self.drop(name)
        for name, space in live.items():
            if name not in self._indexes:
                self.add(name, space.dim)
        self.active = next(name for name, space in live.items() if space.state == "active")

    def index(self, space_id: str | None) -> Index:
        """The index of a space, of the active one by default. Raises SpaceMismatch."""
        index = self._indexes.get(space_id or self.active)
        if index is None:
            raise SpaceMismatch(self.active, str(space_id))
        return index

    def dims(self) -> dict[str, int]:
        """Numbers per vector, by space."""
        return {space_id: index.dim for space_id, index in self._indexes.items()}

    def add(self, space_id: str, dim: int) -> None:
        """Open a space's index."""
        self._indexes = {**self._indexes, space_id: self._make(space_id, dim)}

    def drop(self, space_id: str) -> None:
        """Forget a space's index and remove its snapshots."""
        gone = self._indexes.get(space_id)
        self._indexes = {name: index for name, index in self._indexes.items() if name != space_id}
        if gone is not None:
            gone.remove()

    def put(self, space_id: str, stored: Sequence[tuple[int, Item]], embeddings: Matrix) -> None:
        """Let one index know of vectors (N, D) of N stored items."""
        keys = np.array([key for key, _ in stored], dtype=np.int64)
        labels = [label_of(item) for _, item in stored]
        self._indexes[space_id].neighbours.put(Entries(keys, labels, embeddings))

    def remove(self, keys: Sequence[int]) -> None:
        """Let every index forget keys."""
        for index in self._indexes.values():
            index.neighbours.remove(keys)

    def follow_patch(self, old: int, key: int, item: Item, fresh: Mapping[str, Vectors] | None) -> None:
        """Let every index know an item's new labels, or its new key and vectors where there are `fresh` ones."""
        if fresh is None:
            for index in self._indexes.values():
                index.neighbours.relabel(key, label_of(item))
            return
        self.remove([old])
        for space_id, pair in fresh.items():
            self.put(space_id, [(key, item)], pair.embedding[None])

    def catch_up(self) -> None:
        """Let every index learn what others have committed."""
        for index in self._indexes.values():
            index.catch_up()

    def save(self) -> None:
        """Write a snapshot of every index that changed."""
        for index in self._maintained():
            index.save()

    def maintain(self, stop: Callable[[], bool]) -> None:
        """Do what is due in every index."""
        for index in self._maintained():
            index.maintain(stop)

    def _maintained(self) -> list[MaintainedIndex]:
        return [index for index in self._indexes.values() if isinstance(index, MaintainedIndex)]


def label_of(item: Item) -> Label:
    return Label(item.subject, item.side, item.tags)
