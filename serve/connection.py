"""One connection, as uvicorn speaks HTTP on it, with what uvicorn leaves out: headers must come soon and be short.

Bodies have their own limits in the envelope; here nothing has reached the application yet.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; what h11 and most proxies allow."""


class Connection(HttpToolsProtocol):
    """Answers 408 and closes where headers take longer than `header_timeout_s`, 431 where they are too long.

    The time runs from the opening of the connection, and on a kept one from the first byte of the next request. A
    connection on which nothing was ever sent (browsers open some in advance) is closed without a word.
    """

    header_timeout_s = 10.0
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head_bytes += len(data)  # before it is parsed: a head or a body that ends in it counts from 0 again
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"the request's headers are longer than {MAX_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        self._in_body, self._head_bytes = True, 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body, self._head_bytes = False, 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(self.header_timeout_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._await_head()  # a pipelined request: the answer to the one before it is not cut short
        elif not self._head_bytes:
            self.transport.close()
        else:
            self._refuse(408, f"the request's headers took longer than {self.header_timeout_s:g} s to arrive")

    def _refuse(self, status: int, text: str) -> None:
        self._stop_waiting()
        if self.cycle is None or self.cycle.response_complete:
            head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            self.transport.write(f"{head}Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())
        self.transport.close()


def connection_class(header_timeout_s: float) -> type[Connection]:
    """The protocol for uvicorn's `http` setting."""
    return type("Connection", (Connection,), {"header_timeout_s": header_timeout_s})
