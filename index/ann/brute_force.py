"""Exact search over the stored vectors themselves, streamed from the truth: slow, small, and what recall is held to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from index.ann.approximate import distinct
from index.neighbours import Keys, Matrix
from index.store import rows
from index.store.truth import Truth

BATCH = 4096


def nearest(truth: Truth, space_id: str, queries: Matrix, k: int, stop: Callable[[], bool]) -> tuple[Keys, Matrix]:
    """Unit queries (Q, D) -> keys and cosines (Q, k) among everything in a space. Raises Stopped."""
    best = np.full((len(queries), k), -1, dtype=np.int64), np.full((len(queries), k), -2.0, dtype=np.float32)
    after = -1
    while not stop():
        with truth.read() as connection:
            keys, matrix = rows.stream(connection, space_id, queries.shape[1], after, BATCH)
        if not len(keys):
            return best
        after = int(keys[-1])
        cosines = queries @ matrix.T
        best = distinct(np.hstack([best[0], np.broadcast_to(keys, cosines.shape)]), np.hstack([best[1], cosines]), k)
    raise Stopped


class Stopped(Exception):
    """The work was asked to end early. Never leaves this room."""
