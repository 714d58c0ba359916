"""One connection, as uvicorn speaks HTTP on it, with what uvicorn leaves out: whoever sends slowly loses it.

Headers must come soon and be short, and so must what is left of a body that was answered before its end. While the
application reads a body, the envelope's limits hold.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve.settings import Settings

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; what h11 and most proxies allow."""


class Connection(HttpToolsProtocol):
    """Answers 408 and closes where headers take longer than `header_timeout_s`, 431 where they are too long.

    The time runs from the opening of the connection, and on a kept one from the first byte of the next request. A
    connection on which nothing was ever sent (browsers open some in advance) is closed without a word. One past
    `max_connections` is answered 503 at once.

    A request that was answered early (401, 404, 429) gets `body_timeout_s` for the rest of its body, which nobody
    reads: closing at once would reset the connection, and the caller might never see the answer.
    """

    header_timeout_s = 10.0
    body_timeout_s = 20.0
    max_connections = 1000
    _rest: asyncio.TimerHandle | None = None
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._refuse(503, f"{self.max_connections} connections are open, and no more are taken", "Retry-After: 1")
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head_bytes += len(data)  # before it is parsed: a head or a body that ends in it counts from 0 again
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"the request's headers are longer than {MAX_HEAD_BYTES} bytes")
        if self._deadline is None and not self._in_body and self._is_answered and not self.transport.is_closing():
            self._await_head()  # these bytes ended uvicorn's keep-alive time, and may not have begun a request

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.cycle is not None:
            self._stop_waiting()
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._in_body, self._head_bytes = True, 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body, self._head_bytes = False, 0
        self._stop_discarding()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self._is_answered and not self.transport.is_closing():
            self._rest = self.loop.call_later(self.body_timeout_s, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_discarding()
        super().connection_lost(exc)

    @property
    def _is_answered(self) -> bool:
        """Whether nobody waits for an answer: the last request, if there was one, has its."""
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.header_timeout_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_discarding(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _too_slow(self) -> None:
        if not self._is_answered:
            self._await_head()  # a pipelined request: the answer to the one before it is not cut short
        elif not self._head_bytes:
            self.transport.close()
        else:
            self._refuse(408, f"the request's headers took longer than {self.header_timeout_s:g} s to arrive")

    def _refuse(self, status: int, text: str, *headers: str) -> None:
        self._stop_waiting()
        if self._is_answered:
            start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
            kept = ("Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(text)}", "Connection: close")
            self.transport.write("\r\n".join((start, *kept, *headers, "", text)).encode())
        self.transport.close()


def connection_class(settings: Settings) -> type[Connection]:
    """The protocol for uvicorn's `http` setting."""
    limits = {
        "header_timeout_s": settings.header_timeout_s,
        "body_timeout_s": settings.body_timeout_s,
        "max_connections": settings.connections,
    }
    return type("Connection", (Connection,), limits)
