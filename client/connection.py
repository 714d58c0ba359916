"""How the clients reach the service: a pool of connections, and every call made again as the policy says.

`Method` and `AsyncMethod` turn the functions of `client.calls` into methods with the same arguments.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from client.request import Call
from client.retry import LOCAL, Outcome, Policy

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


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

    def run(self, call: Call[ResultT]) -> ResultT:
        """Make a call. Raises `client.errors.CallError`."""
        tried = 0
        while True:
            answer: Outcome
            try:
                answer = self._http.request(**self._policy.request_of(call))
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
    """A service, called and awaited; for one event loop. Arguments as of `Connection`."""

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

    async def run(self, call: Call[ResultT]) -> ResultT:
        """Make a call. Raises `client.errors.CallError`."""
        tried = 0
        while True:
            answer: Outcome
            try:
                answer = await self._http.request(**self._policy.request_of(call))
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


class Method(Generic[P, ResultT]):
    """A function that makes a call, as a method that makes it and waits for the answer."""

    def __init__(self, build: Callable[P, Call[ResultT]]) -> None:
        self._build = build

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[ResultT]]: ...
    @overload
    def __get__(self, client: Connection, owner: type) -> Callable[P, ResultT]: ...
    def __get__(self, client: Connection | None, owner: type) -> Callable[P, Any]:
        if client is None:
            return self._build
        return lambda *args, **options: client.run(self._build(*args, **options))


class AsyncMethod(Generic[P, ResultT]):
    """A function that makes a call, as a method that makes it and is awaited for the answer."""

    def __init__(self, build: Callable[P, Call[ResultT]]) -> None:
        self._build = build

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[ResultT]]: ...
    @overload
    def __get__(self, client: AsyncConnection, owner: type) -> Callable[P, Awaitable[ResultT]]: ...
    def __get__(self, client: AsyncConnection | None, owner: type) -> Callable[P, Any]:
        if client is None:
            return self._build
        return lambda *args, **options: client.run(self._build(*args, **options))
