"""How the clients reach the service: a pool of connections, and every call made again as the policy says.

`client.client` and `client.async_client` build on this; knows no call by name.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self, TypeVar

import httpx

from client.request import Call
from client.retry import Outcome, Policy

ResultT = TypeVar("ResultT")
LOCAL = "http://127.0.0.1:8350"


class Connection:
    """A service, called and waited for. Safe to share between threads.

    retries: how often a call is made again when the service is busy (429) or starting (503), as it asks.
    """

    def __init__(
        self,
        url: str = LOCAL,
        api_key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._policy = Policy(url, api_key, timeout_s, retries)
        self._http = httpx.Client(**self._policy.options, transport=transport)

    def _run(self, call: Call[ResultT]) -> ResultT:
        tried = 0
        while True:
            answer: Outcome
            try:
                answer = self._http.request(**self._policy.sent(call))
            except httpx.TransportError as error:
                answer = error
            pause_s = self._policy.pause_s(call, answer, tried)
            if pause_s is None:
                return self._policy.read(call, answer)
            time.sleep(pause_s)
            tried += 1

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncConnection:
    """A service, called and awaited; for one event loop.

    retries: how often a call is made again when the service is busy (429) or starting (503), as it asks.
    """

    def __init__(
        self,
        url: str = LOCAL,
        api_key: str | None = None,
        *,
        timeout_s: float = 60.0,
        retries: int = 5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._policy = Policy(url, api_key, timeout_s, retries)
        self._http = httpx.AsyncClient(**self._policy.options, transport=transport)

    async def _run(self, call: Call[ResultT]) -> ResultT:
        tried = 0
        while True:
            answer: Outcome
            try:
                answer = await self._http.request(**self._policy.sent(call))
            except httpx.TransportError as error:
                answer = error
            pause_s = self._policy.pause_s(call, answer, tried)
            if pause_s is None:
                return self._policy.read(call, answer)
            await asyncio.sleep(pause_s)
            tried += 1

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()
