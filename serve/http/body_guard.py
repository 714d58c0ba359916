"""A request's body as it arrives: once there is memory for it, not longer than the limit, not slower than its time.

Plain ASGI. Knows no form and no picture.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from serve.errors import BodyTooLarge, TooSlow
from serve.http.request_body import whole_number
from serve.inference.fair_limit import FairLimit, Held
from serve.observability.request_context import Trace
from serve.settings import Settings

SMALL_BYTES = 64 << 10
"""Bodies up to this size ask for no memory: each connection may buffer as much anyway."""
BODY_SHARE = 8
"""Bodies may take one part in so many of the memory: reading a form or JSON needs two or three copies of each."""


def body_budget(settings: Settings) -> FairLimit:
    """Bytes of the bodies that may be in memory at once, of all requests together."""
    budget = settings.memory_bytes // BODY_SHARE
    return FairLimit(budget, f"memory for their bodies ({budget >> 20} MiB)")


class BodyGuard:
    """`receive` of one request. Its memory is held from the first message until `release`.

    Raises BodyTooLarge at once where the headers tell that the body is too large.
    """

    def __init__(self, scope: Scope, receive: Receive, settings: Settings, budget: FairLimit, trace: Trace) -> None:
        self._receive, self._budget, self._trace = receive, budget, trace
        self._limit, self._timeout_s = settings.max_body_bytes, settings.body_timeout_s
        self._address = scope["client"][0] if scope.get("client") else "unknown"
        headers = Headers(scope=scope)
        declared = whole_number(headers.get("content-length", "")) or 0
        if declared > self._limit:
            raise _too_large(declared, self._limit)
        is_open = "transfer-encoding" in headers or "content-encoding" in headers  # its size is not known
        self._bytes = self._limit if is_open else declared
        self._held: Held | None = None
        self._until = 0.0
        self._seen = 0
        self._complete = False

    async def receive(self) -> Message:
        """The next message. Raises DeadlineExceeded, TooSlow, BodyTooLarge."""
        if self._complete:
            return await self._receive()
        loop = asyncio.get_running_loop()
        if not self._until:
            await self._wait_for_memory()
            self._until = loop.time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(f"the body took longer than {self._timeout_s:g} s to arrive") from None
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            raise _too_large(self._seen, self._limit)
        self._complete = not message.get("more_body", False)
        return message

    def release(self) -> None:
        """Give the memory back: the answer has begun, or the request is over."""
        if self._held is not None:
            self._held.reduce(0)

    async def _wait_for_memory(self) -> None:
        if self._bytes > SMALL_BYTES:
            caller = f"{self._trace.caller} {self._address}"  # after the key was checked: before it nothing is read
            self._held = await self._budget.take(caller, self._bytes, self._trace.deadline)


def _too_large(seen: int, limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has {seen} bytes or more; at most {limit} are taken")
