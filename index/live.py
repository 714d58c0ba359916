"""The live spaces of an open gallery: one index per encoder, which of them is active, and what all of them must learn.

Callers hold the gallery's writing lock while they change anything here; reading needs no lock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from index.config import GalleryConfig
from index.errors import SpaceMismatch
from index.items import Item, Vectors
from index.neighbours import Entries, Label, Matrix
from index.space_index import SpaceIndex
from index.space_rows import Space
from index.truth import Truth


class LiveSpaces:
    """The indexes of every space in `folder`. The mapping is replaced, never changed, so readers need no lock."""

    def __init__(self, folder: Path, truth: Truth, known: Mapping[str, Space], config: GalleryConfig) -> None:
        self._folder = folder
        self._truth = truth
        self._config = config
        self._indexes: Mapping[str, SpaceIndex] = {}
        self.active = next(space.space_id for space in known.values() if space.state == "active")
        for space in known.values():
            if space.state != "retiring":
                self.add(space.space_id, space.dim)

    def index(self, space_id: str | None) -> SpaceIndex:
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
        index = SpaceIndex(self._folder / space_id, self._truth, space_id, dim, self._config)
        self._indexes = {**self._indexes, space_id: index}

    def drop(self, space_id: str) -> None:
        """Forget a space's index and remove its snapshots."""
        if space_id in self._indexes:
            self._indexes[space_id].close()
        self._indexes = {name: index for name, index in self._indexes.items() if name != space_id}
        shutil.rmtree(self._folder / space_id, ignore_errors=True)

    def put(self, space_id: str, stored: Sequence[tuple[int, Item]], embeddings: Matrix) -> None:
        """Let one index know of vectors (N, D) of N stored items."""
        keys = np.array([key for key, _ in stored], dtype=np.int64)
        labels = [label_of(item) for _, item in stored]
        self._indexes[space_id].neighbours.put(Entries(keys, labels, embeddings))

    def remove(self, keys: Sequence[int]) -> None:
        """Let every index forget keys."""
        for index in self._indexes.values():
            index.neighbours.remove(keys)

    def relabel(self, key: int, item: Item) -> None:
        """Let every index know an item's new labels."""
        for index in self._indexes.values():
            index.neighbours.relabel(key, label_of(item))

    def remake(self, old: int, key: int, item: Item, fresh: Mapping[str, Vectors]) -> None:
        """Let every index know that an item has a new key and new vectors."""
        self.remove([old])
        for space_id, pair in fresh.items():
            self.put(space_id, [(key, item)], pair.embedding[None])

    def save(self) -> None:
        """Write a snapshot of every index that changed."""
        for index in self._indexes.values():
            index.save()

    def tend(self, stop: Callable[[], bool]) -> None:
        """Do what is due in every index."""
        for index in self._indexes.values():
            index.tend(stop)


def label_of(item: Item) -> Label:
    return Label(item.subject, item.side, item.tags)
