"""Joins items of many requests into batches and runs them on worker threads: one, or two where a GPU computes.

Knows neither HTTP nor model: items go in, `run(list of items) -> list of results` is called off the event loop, results
come back. Nothing waits for company: a batch is whatever waits when the worker is free. A second worker takes only what
is a full batch already, so that it is copied while the first computes. The queue is bounded and says so at once; an
item whose caller left, or whose deadline passed, is dropped before it costs anything.
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
from serve.inference.fair_limit import in_turn
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
    """Items that may wait; more are Overloaded."""
    stalled_after_s: float = 30.0
    """A run that takes longer is stuck: new items are refused until it ends."""
    workers: int = 1
    """Batches under way at once."""
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


@dataclass(eq=False)
class _Worker(Generic[ItemT, ResultT]):
    """A thread, and what it holds."""

    thread: threading.Thread
    running: list[_Waiting[ItemT, ResultT]] = field(default_factory=list)
    busy_since: float | None = None


class Batcher(Generic[ItemT, ResultT]):
    """A bounded queue in front of `run`.

    run: called on a worker thread with 1..max_batch items; returns as many results, in order. With several workers:
    on each of them at once.
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
        self._ended = 0.0
        self._changed = threading.Condition()
        self._closing = False
        self.restarts = 0
        self._workers: list[_Worker[ItemT, ResultT]] = []
        for _ in range(limits.workers):
            self._start_worker()

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
        """Whether the worker threads run."""
        return all(worker.thread.is_alive() for worker in self._workers)

    @property
    def stalled_s(self) -> float:
        """Seconds that the running batch has taken, once that is more than `stalled_after_s`; else 0."""
        since = [worker.busy_since for worker in self._workers if worker.busy_since is not None]
        busy_s = time.monotonic() - min(since) if since else 0.0
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
        until = time.monotonic() + drain_s
        for worker in self._workers:
            worker.thread.join(max(0.0, until - time.monotonic()))
        with self._changed:
            left, self._waiting = [*self._waiting], deque()
        self._fail(left, NotReady("the service is shutting down; send the request again"))

    def _admit(self, items: int = 1) -> None:
        if self._closing:
            raise NotReady("the service is shutting down; send the request again")
        if stalled := self.stalled_s:
            raise RuntimeStalled(f"the {self._name} has been busy with one batch for {stalled:.0f} s")
        if len(self._waiting) + items > self._limits.queue_size:
            waiting_s = self._size.expected_s(self._size.largest) * len(self._waiting) / self._size.largest
            raise Overloaded(f"{len(self._waiting)} pictures wait already (limit {self._limits.queue_size})", waiting_s)

    # -- the worker threads --------------------------------------------------------------------------------------------

    def _start_worker(self, dying: _Worker[ItemT, ResultT] | None = None) -> None:
        thread = threading.Thread(target=lambda: self._work(worker), name=f"batcher-{self._name}", daemon=True)
        worker = _Worker[ItemT, ResultT](thread)
        with self._changed:  # until it is listed it waits
            thread.start()
            self._workers = [*(other for other in self._workers if other is not dying), worker]

    def _work(self, worker: _Worker[ItemT, ResultT]) -> None:
        try:
            while self._take(worker):
                self._run_batch(worker.running)
                worker.busy_since, worker.running = None, []
        except BaseException:  # no batch raises this: someone kills the thread
            log.exception("the worker of the %s died; a new one takes over", self._name)
            if not self._closing:
                self._replace(worker)

    def _replace(self, worker: _Worker[ItemT, ResultT]) -> None:
        """Fail what the dying thread held and let another take over."""
        held, worker.running, worker.busy_since = worker.running, [], None
        self.restarts += 1
        self._fail(held, NotReady("the worker that held this picture died; send the request again"))
        self._start_worker(worker)

    def _take(self, worker: _Worker[ItemT, ResultT]) -> bool:
        """Give the worker its next batch; waits for one. False: closed and drained."""
        while True:
            with self._changed:
                while not self._has_work() and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return False
                late = self._drop_worthless()
                worker.running = self._next_batch()
                worker.busy_since = time.monotonic() if worker.running else None
                if self._waiting:
                    self._changed.notify()  # another may have a full batch to take
            self._fail(late, DeadlineExceeded())
            if worker.running:
                return True

    def _has_work(self) -> bool:
        """Whether a batch should start. Beside a running one only a full one: a smaller would be larger later on."""
        is_busy = any(worker.running for worker in self._workers)
        return len(self._waiting) >= (self._size.largest if is_busy else 1)

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
        batch = in_turn(self._waiting, size, lambda entry: entry.turn)
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
        now = time.monotonic()
        with self._changed:  # what a batch waited for the one before it is not its cost
            cost_s, self._ended = now - max(started, self._ended), now
            self._size.observe(len(batch), cost_s)
        self._observe(len(batch), now - started)
        self._succeed(batch, results, started, now - started)
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


def _call(loop: asyncio.AbstractEventLoop, settle: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed: nobody is left to tell
        log.debug("a result came after its event loop had closed")
