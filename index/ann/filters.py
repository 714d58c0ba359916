"""Subject, side and tags of every key in columns, so that a filter becomes a bitmap within a search's time.

Columns are indexed by key: keys are dense small integers that the truth never reuses. Sets of tags are stored once each
and items point at them. Not thread-safe: the neighbours that own the labels lock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.items import Side
from index.neighbours import Keys, Label, Selection

SIDE_CODES: dict[Side | None, int] = {None: 0, "left": 1, "right": 2}
SIDE_NAMES: dict[int, Side | None] = {code: side for side, code in SIDE_CODES.items()}
Mask = NDArray[np.bool_]  # one bool per key, the lowest key first
Bits = NDArray[np.uint8]  # the same as one bit per key, as FAISS takes it


class Labels:
    """The labels of the live keys, and which keys are live."""

    def __init__(self) -> None:
        self._alive: Mask = np.zeros(0, dtype=np.bool_)
        self._side = np.zeros(0, dtype=np.int8)
        self._subject = np.zeros(0, dtype=np.int32)
        self._tags = np.zeros(0, dtype=np.int32)
        self._subject_codes: dict[str | None, int] = {None: 0}
        self._tag_codes: dict[tuple[str, ...], int] = {(): 0}
        self._codes_with_tag: dict[str, set[int]] = {}
        self.count = 0

    def put(self, keys: Keys, labels: Sequence[Label]) -> None:
        """Set the labels of `keys` and make them live."""
        if len(keys) == 0:
            return
        self._reserve(int(keys.max()) + 1)
        self._subject[keys] = [self._subject_code(label.subject) for label in labels]
        self._side[keys] = [SIDE_CODES[label.side] for label in labels]
        self._tags[keys] = [self._tag_code(label.tags) for label in labels]
        self.count += len(np.unique(keys)) - len(np.unique(keys[self._alive[keys]]))
        self._alive[keys] = True

    def remove(self, keys: Keys) -> Keys:
        """Make `keys` dead and return those that were live."""
        removed = np.unique(self.live(keys))
        self._alive[removed] = False
        self.count -= len(removed)
        return removed

    def live(self, keys: Keys) -> Keys:
        """Those of `keys` that are live."""
        inside = keys[(keys >= 0) & (keys < len(self._alive))]
        return inside[self._alive[inside]]

    def keys(self) -> Keys:
        """Every live key, ascending."""
        return np.flatnonzero(self._alive).astype(np.int64)

    def mask(self, selection: Selection | None) -> Mask:
        """(highest key + 1,) bool: live and admitted. Do not write into it."""
        if selection is None:
            return self._alive
        mask = self._alive.copy()
        if selection.subjects:
            mask &= self._among(self._subject, [self._subject_codes.get(name, -1) for name in selection.subjects])
        if selection.exclude_subjects:
            mask &= ~self._among(self._subject, [self._subject_codes.get(s, -1) for s in selection.exclude_subjects])
        if selection.sides:
            mask &= self._among(self._side, [SIDE_CODES[side] for side in selection.sides])
        if selection.tags:
            mask &= self._among(self._tags, self._codes_with_all(selection.tags))
        if selection.keys is not None:
            mask &= self._at(selection.keys)
        if selection.exclude_keys:
            mask &= ~self._at(selection.exclude_keys)
        return mask

    def subjects_of(self, keys: Keys) -> NDArray[np.int32]:
        """A code per key, equal where the subjects are equal; 0 means no subject."""
        return self._subject[keys]

    def _among(self, column: NDArray[np.integer], codes: list[int]) -> Mask:
        return column == codes[0] if len(codes) == 1 else np.isin(column, codes)

    def _at(self, keys: tuple[int, ...]) -> Mask:
        mask = np.zeros(len(self._alive), dtype=np.bool_)
        mask[self.live(np.array(keys, dtype=np.int64))] = True
        return mask

    def _codes_with_all(self, tags: tuple[str, ...]) -> list[int]:
        return sorted(set.intersection(*(self._codes_with_tag.get(tag, set()) for tag in tags)))

    def _subject_code(self, subject: str | None) -> int:
        return self._subject_codes.setdefault(subject, len(self._subject_codes))

    def _tag_code(self, tags: tuple[str, ...]) -> int:
        key = tuple(sorted(tags))
        code = self._tag_codes.setdefault(key, len(self._tag_codes))
        for tag in key:
            self._codes_with_tag.setdefault(tag, set()).add(code)
        return code

    def _reserve(self, size: int) -> None:
        if size <= len(self._alive):
            return
        room = max(size, len(self._alive) * 3 // 2, 1024) - len(self._alive)
        self._alive = np.pad(self._alive, (0, room))
        self._side = np.pad(self._side, (0, room))
        self._subject = np.pad(self._subject, (0, room))
        self._tags = np.pad(self._tags, (0, room))
