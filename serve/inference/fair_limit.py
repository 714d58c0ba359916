"""A limited amount of something (threads, bytes) that callers wait for and get in turn, round robin.

A caller with a thousand pictures delays another caller's one by a single turn. Used on one event loop; knows neither
pictures nor requests.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from serve.errors import DeadlineExceeded

ItemT = TypeVar("ItemT")


@dataclass(eq=False)
class _Waiter:
    amount: int
    granted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class FairLimit:
    """At most `capacity` is held at once. name: of what is limited, for the message of who waited too long."""

    def __init__(self, capacity: int, name: str) -> None:
        self.capacity, self._name = capacity, name
        self.held = 0
        self._callers: dict[str, deque[_Waiter]] = {}  # in the order in which they are served

    @property
    def waiting(self) -> int:
        """Callers' requests that wait."""
        return sum(map(len, self._callers.values()))

    @asynccontextmanager
    async def hold(self, caller: str, amount: int, deadline: float = float("inf")) -> AsyncIterator[Held]:
        """Hold an amount for as long as the context is open. See `take`."""
        held = await self.take(caller, amount, deadline)
        try:
            yield held
        finally:
            held.reduce(0)

    async def take(self, caller: str, amount: int, deadline: float = float("inf")) -> Held:
        """An amount, once it is the caller's turn, until it is reduced to 0. deadline: on the `time.monotonic` clock.

        amount: more than the capacity counts as all of it. Raises DeadlineExceeded.
        """
        held = Held(self, min(amount, self.capacity))
        await self._acquire(caller, held.amount, deadline)
        return held

    async def _acquire(self, caller: str, amount: int, deadline: float) -> None:
        if not self._callers and self.held + amount <= self.capacity:
            self.held += amount
            return
        waiter = _Waiter(amount)
        self._callers.setdefault(caller, deque()).append(waiter)
        wait_s = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        try:
            async with asyncio.timeout(wait_s):
                await waiter.granted
        except BaseException as error:
            if waiter.granted.done() and not waiter.granted.cancelled():
                self.release(amount)
            else:
                self._leave(caller, waiter)
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded(f"{self.waiting + 1} wait for {self._name}") from None
            raise

    def release(self, amount: int) -> None:
        """Give an amount back and let those whose turn it is go on."""
        self.held -= amount
        self._grant()

    def _leave(self, caller: str, waiter: _Waiter) -> None:
        queue = self._callers.get(caller, deque())
        if waiter in queue:
            queue.remove(waiter)
            if not queue:
                del self._callers[caller]
        self._grant()  # it may have kept others waiting

    def _grant(self) -> None:
        while self._callers:
            caller = next(iter(self._callers))
            queue = self._callers[caller]
            waiter = queue[0]
            gone = waiter.granted.done()  # cancelled, and its task has not run since
            if not gone and self.held + waiter.amount > self.capacity:
                return
            queue.popleft()
            del self._callers[caller]
            if queue:
                self._callers[caller] = queue  # to the end of the round
            if not gone:
                self.held += waiter.amount
                waiter.granted.set_result(None)


class Held:
    """An amount of a limit that is held."""

    def __init__(self, limit: FairLimit, amount: int) -> None:
        self._limit, self.amount = limit, amount

    def reduce(self, amount: int) -> None:
        """Keep only `amount` of it."""
        if amount < self.amount:
            given_back, self.amount = self.amount - amount, amount
            self._limit.release(given_back)


def in_turn(waiting: Sequence[ItemT], size: int, caller: Callable[[ItemT], str]) -> list[ItemT]:
    """The next `size` of those that wait: one of each caller, round robin; of a caller those that came first."""
    if size >= len(waiting):
        return list(waiting)
    callers: dict[str, deque[ItemT]] = {}
    for item in waiting:
        callers.setdefault(caller(item), deque()).append(item)
    taken: list[ItemT] = []
    while len(taken) < size:
        for queue in [queue for queue in callers.values() if queue][: size - len(taken)]:
            taken.append(queue.popleft())
    return taken
