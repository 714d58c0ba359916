"""Embeds every stored ear anew with another model, beside the traffic, in a bounded share of the time.

Runs on a thread of its own. Knows gallery and engine; knows no promotion's rules.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bundle.image import decode, frame
from index.items import Vectors
from serve.inference.decode_pool import oriented
from serve.inference.encoded import embedded
from serve.inference.engine import Engine
from serve.inference.orientation import shown_side

if TYPE_CHECKING:
    from index.gallery import Gallery
    from index.store.space_rows import Pending

log = logging.getLogger(__name__)

BATCH = 8
"""Small, so that a request never waits long behind one."""


class Reembedding:
    """share: of the time that it may work, 0 to 1; the rest it sleeps, so that requests keep the machine."""

    def __init__(self, gallery: Gallery, engine: Engine, share: float, stop: threading.Event) -> None:
        self._gallery, self._engine, self._share, self._stop = gallery, engine, share, stop
        self.failed: list[str] = []

    def run(self, progress: Callable[[int], None]) -> None:
        """Fill the engine's space until nothing is lacking but what fails. progress: told of items that were tried.

        Items that came without vectors meanwhile are met by another sweep. Returns early when told to stop.
        """
        while not self._stop.is_set() and self._sweep(progress):
            pass

    def _sweep(self, progress: Callable[[int], None]) -> int:
        after, filled, self.failed = 0, 0, []
        space_id = self._engine.ids[0]
        while not self._stop.is_set():
            started = time.monotonic()
            batch = self._gallery.spaces.pending(space_id, after, BATCH)
            if not batch:
                break
            after = batch[-1].key
            filled += self._gallery.spaces.fill(space_id, self._embedded(batch))
            progress(len(batch))
            rest(self._stop, time.monotonic() - started, self._share)
        return filled

    def _embedded(self, batch: Sequence[Pending]) -> list[tuple[Pending, Vectors]]:
        crops, unknown, kept = [], [], []
        for pending in batch:
            try:
                picture = frame(decode(pending.crop), pending.item.box, self._engine.framing)
                crops.append(oriented(picture, shown_side(pending.item.side)))
                unknown.append(pending.item.side is None)
                kept.append(pending)
            except Exception as error:  # one stored picture that cannot be read must not stop all others
                log.error("item %s cannot be embedded anew: %s", pending.item.id, error)
                self.failed.append(pending.item.id)
        return list(zip(kept, embedded(self._engine.model, crops, unknown), strict=True))


def rest(stop: threading.Event, busy_s: float, share: float) -> None:
    """After `busy_s` of work, sleep until work was `share` of the time, or until told to stop."""
    stop.wait(busy_s * (1.0 / share - 1.0))
