"""Joins items of many requests into batches and runs them on one worker thread.

Knows neither HTTP nor model: items go in, `run(list of items) -> list of results` is called off the event loop, results
come back. Nothing waits for company: a batch is whatever waits when the worker is free. The queue is bounded and says
so at once; an item whose caller left, or whose deadline passed, is dropped before it costs anything.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from serve.errors import DeadlineExceeded, NotReady, Overloaded, RuntimeStalled
from serve.inference.batch_size import BatchSize
from serve.inference.together import together
from serve.inference.warm_up import WarmUp, warm_up

log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class BatchLimits:
    """How much a batcher takes on."""

    max_batch: int = 16
    """Most items in one run."""
    queue_size: int = 256
    """Items that may wait; more are refused with Overloaded."""
    stalled_after_s: float = 30.0
    """A run that takes longer counts as stuck: new items are refused until it ends."""
    longest_s: float | None = None
    """Sizes whose run took longer when `warm_up` measured them are not used; None: no limit but `max_batch`."""


@dataclass(frozen=True)
class Done(Generic[ResultT]):
    """A result and what it took: milliseconds waited in the queue, milliseconds in its batch, size of that batch."""

    value: ResultT
    queue_ms: float
    compute_ms: float
    batch_size: int


@dataclass(eq=False)
class _Waiting(Generic[ItemT, ResultT]):
    item: ItemT
    future: asyncio.Future[Done[ResultT]]
    loop: asyncio.AbstractEventLoop
    deadline: float
    turn: str
    entered: float = field(default_factory=time.monotonic)


class Batcher(Generic[ItemT, ResultT]):
    """A bounded queue in front of `run`.

    run: called on the worker thread with 1..max_batch items; returns as many results, in order.
    observe: told the size and the seconds of every batch that succeeded.
    buckets: batch sizes that the runtime pads up to; None = any size.
    """

    def __init__(
        self,
        run: Callable[[list[ItemT]], Sequence[ResultT]],
        name: str,
        limits: BatchLimits = BatchLimits(),
        *,
        buckets: Sequence[int] | None = None,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._run, self._name, self._limits, self._observe = run, name, limits, observe
        self._size = BatchSize(limits.max_batch, buckets)
        self._waiting: deque[_Waiting[ItemT, ResultT]] = deque()
        self._running: list[_Waiting[ItemT, ResultT]] = []
        self._busy_since: float | None = None
        self._changed = threading.Condition()
        self._closing = False
        self.restarts = 0
        self._worker = self._start_worker()

    # -- what callers use, on the event loop ---------------------------------------------------------------------------

    async def submit(
        self, items: Sequence[ItemT], deadline: float = float("inf"), turn: str = ""
    ) -> list[Done[ResultT]]:
        """Run items, each in some batch; all are admitted or none. deadline: on the `time.monotonic` clock.

        turn: whose items they are; where more wait than a batch takes, each has its turn.

        Raises Overloaded (queue full), DeadlineExceeded, RuntimeStalled, NotReady (closing, or the worker died while
        it held an item), and whatever `run` raised for one of these items alone. Cancelling drops what still waits.
        """
        loop = asyncio.get_running_loop()
        entries = [_Waiting[ItemT, ResultT](item, loop.create_future(), loop, deadline, turn) for item in items]
        with self._changed:
            self._admit(len(entries))
            self._waiting.extend(entries)
            self._changed.notify()
        if len(entries) == 1:
            return [await entries[0].future]
        return await together(entry.future for entry in entries)

    def check_room(self, items: int = 1) -> None:
        """Raise Overloaded, RuntimeStalled or NotReady now if `items` more would be refused (before decoding them)."""
        with self._changed:
            self._admit(items)

    @property
    def depth(self) -> int:
        """Items waiting."""
        return len(self._waiting)

    @property
    def is_alive(self) -> bool:
        """Whether the worker thread runs."""
        return self._worker.is_alive()

    @property
    def stalled_s(self) -> float:
        """Seconds that the running batch has taken, once that is more than `stalled_after_s`; else 0."""
        since = self._busy_since
        busy_s = 0.0 if since is None else time.monotonic() - since
        return busy_s if busy_s > self._limits.stalled_after_s else 0.0

    def warm_up(
        self, example: ItemT, budget_s: float, measure: bool = False, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Run each batch size before any traffic, see `serve.inference.warm_up`."""
        limits = WarmUp(budget_s, self._limits.longest_s, measure)
        warm_up(self._size, lambda size: self._run([example] * size), self._name, limits, clock)

    def close(self, drain_s: float = 0.0) -> None:
        """Refuse new items, let those that wait finish for at most `drain_s` seconds, fail the rest."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._worker.join(drain_s)
        with self._changed:
            left = [*self._waiting]
            self._waiting.clear()
        self._fail(left, NotReady("the service is shutting down; send the request again"))

    def _admit(self, items: int = 1) -> None:
        if self._closing:
            raise NotReady("the service is shutting down; send the request again")
        if stalled := self.stalled_s:
            raise RuntimeStalled(f"the {self._name} has been busy with one batch for {stalled:.0f} s")
        if len(self._waiting) + items > self._limits.queue_size:
            waiting_s = self._size.expected_s(self._size.largest) * len(self._waiting) / self._size.largest
            raise Overloaded(f"{len(self._waiting)} pictures wait already (limit {self._limits.queue_size})", waiting_s)

    # -- the worker thread ---------------------------------------------------------------------------------------------

    def _start_worker(self) -> threading.Thread:
        worker = threading.Thread(target=self._work, name=f"batcher-{self._name}", daemon=True)
        worker.start()
        return worker

    def _work(self) -> None:
        try:
            while batch := self._take():
                self._running = batch
                self._busy_since = time.monotonic()
                self._run_batch(batch)
                self._busy_since, self._running = None, []
        except BaseException:  # no batch raises this: someone kills the thread
            log.exception("the worker of the %s died; a new one takes over", self._name)
            if not self._closing:
                self._replace_worker()

    def _replace_worker(self) -> None:
        """Fail what the dying thread held and let another take over."""
        held, self._running, self._busy_since = self._running, [], None
        self._fail(held, NotReady("the worker that held this picture died; send the request again"))
        self.restarts += 1
        self._worker = self._start_worker()

    def _take(self) -> list[_Waiting[ItemT, ResultT]]:
        """The next batch; waits for one. Empty = closed and drained."""
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return []
                late = self._drop_worthless()
                batch = self._next_batch()
            self._fail(late, DeadlineExceeded())
            if batch:
                return batch

    def _drop_worthless(self) -> list[_Waiting[ItemT, ResultT]]:
        """Take out what nobody waits for any more; returns those whose deadline passed."""
        now = time.monotonic()
        kept = [entry for entry in self._waiting if not entry.future.done()]
        late = [entry for entry in kept if entry.deadline <= now]
        if len(late) or len(kept) < len(self._waiting):
            self._waiting = deque(entry for entry in kept if entry.deadline > now)
        return late

    def _next_batch(self) -> list[_Waiting[ItemT, ResultT]]:
        if not self._waiting:
            return []
        slack_s = min(entry.deadline for entry in self._waiting) - time.monotonic()
        size = self._size.choose(len(self._waiting), slack_s)
        batch = _in_turn(self._waiting, size)
        self._waiting = deque(entry for entry in self._waiting if entry not in batch)
        return batch

    def _run_batch(self, batch: list[_Waiting[ItemT, ResultT]]) -> bool:
        """Run and settle a batch. One that fails is run again in halves, so that a bad item fails alone.

        Where both halves succeed the batch was too large (out of memory): smaller ones from now on.
        """
        started = time.monotonic()
        try:
            results = self._run([entry.item for entry in batch])
            assert len(results) == len(batch), f"{self._name}: {len(results)} results for {len(batch)} items"
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch, error)
                return False
            half = len(batch) // 2
            halves_fit = [self._run_batch(batch[:half]), self._run_batch(batch[half:])]
            if all(halves_fit):
                log.warning("a batch of %d failed as a whole and ran in halves: %s", len(batch), error)
                self._size.shrink(len(batch))
            return all(halves_fit)
        seconds = time.monotonic() - started
        self._size.observe(len(batch), seconds)
        self._observe(len(batch), seconds)
        self._succeed(batch, results, started, seconds)
        return True

    def _succeed(
        self, batch: list[_Waiting[ItemT, ResultT]], results: Sequence[ResultT], started: float, seconds: float
    ) -> None:
        done = [
            Done(result, (started - entry.entered) * 1e3, seconds * 1e3, len(batch))
            for entry, result in zip(batch, results, strict=True)
        ]

        def settle() -> None:
            for entry, value in zip(batch, done, strict=True):
                if not entry.future.done():
                    entry.future.set_result(value)

        _call(batch[0].loop, settle)

    def _fail(self, entries: list[_Waiting[ItemT, ResultT]], error: Exception) -> None:
        def settle() -> None:
            for entry in entries:
                if not entry.future.done():
                    entry.future.set_exception(error)

        if entries:
            _call(entries[0].loop, settle)


def _in_turn(waiting: Sequence[_Waiting[ItemT, ResultT]], size: int) -> list[_Waiting[ItemT, ResultT]]:
    """The next `size` entries: one of each caller, round robin; of a caller those that came first."""
    if size >= len(waiting):
        return list(waiting)
    callers: dict[str, deque[_Waiting[ItemT, ResultT]]] = {}
    for entry in waiting:
        callers.setdefault(entry.turn, deque()).append(entry)
    batch: list[_Waiting[ItemT, ResultT]] = []
    while len(batch) < size:
        for queue in [queue for queue in callers.values() if queue][: size - len(batch)]:
            batch.append(queue.popleft())
    return batch


def _call(loop: asyncio.AbstractEventLoop, settle: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed: nobody is left to tell
        log.debug("a result came after its event loop had closed")
