"""Fetches a picture behind a URL, if an operator allowed its host: no private address, no surprise by redirect or DNS.

Off without an allow-list. The address that is checked is the address that is connected to, so a name cannot change its
meaning in between (DNS rebinding). Knows no picture formats.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore

from serve.errors import BadRequest
from serve.settings import Settings

MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
Resolve = Callable[[str, int], Awaitable[list[str]]]
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Fetcher:
    """Fetches from allowed hosts; one connection pool for all requests."""

    def __init__(self, settings: Settings, resolve: Resolve | None = None) -> None:
        self._hosts = frozenset(settings.url_hosts)
        self._limit_bytes, self._timeout_s = settings.max_image_bytes, settings.url_timeout_s
        backend = _GuardedBackend(resolve or resolve_host, settings.url_private)
        self._pool = httpcore.AsyncConnectionPool(network_backend=backend, max_connections=16)

    async def fetch(self, url: str) -> bytes:
        """The body behind a URL. Raises BadRequest for every reason not to, or not to have, fetched it."""
        if not self._hosts:
            raise BadRequest("is a URL; this service fetches none: send the picture itself (data URI)")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(url)
        except TimeoutError:
            raise BadRequest(f"{_shown(url)} did not answer within {self._timeout_s:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise BadRequest(f"{_shown(url)} cannot be fetched: {type(error).__name__}") from None

    async def _follow(self, url: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            self._check_host(url)
            headers = [("Host", urlsplit(url).netloc), ("Accept", "image/*"), ("User-Agent", "ear-teacher")]
            async with self._pool.stream("GET", url, headers=headers) as answer:
                if answer.status in REDIRECTS:
                    url = _joined(url, _header(answer, b"location"))
                    continue
                if answer.status != 200:
                    raise BadRequest(f"{_shown(url)} answered {answer.status}")
                return await self._read(answer, url)
        raise BadRequest(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times")

    async def _read(self, answer: Any, url: str) -> bytes:
        body = bytearray()
        async for chunk in answer.aiter_stream():
            body += chunk
            if len(body) > self._limit_bytes:
                raise BadRequest(f"{_shown(url)} has more than {self._limit_bytes} bytes")
        return bytes(body)

    def _check_host(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise BadRequest(f"{_shown(url)} is no URL") from None
        if not url.isascii():
            raise BadRequest(f"{_shown(url)} has characters that no URL has: percent-encode them")
        if parts.scheme not in ("http", "https") or parts.username is not None:
            raise BadRequest(f"{_shown(url)} is refused: http and https without credentials are fetched")
        named = f"{host}:{port}" if port is not None else host
        if named not in self._hosts:
            raise BadRequest(f"host {named[:100]!r} is not among those that this service may fetch from")

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, refuses addresses that are not public, and connects to what it checked."""

    def __init__(self, resolve: Resolve, allow_private: bool) -> None:
        self._resolve, self._allow_private = resolve, allow_private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        if not self._allow_private and (private := [one for one in addresses if not is_public(one)]):
            raise BadRequest(f"host {host!r} is refused: it resolves to {private[0]}, which is not a public address")
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def is_public(address: str) -> bool:
    """Whether an IP address is out on the internet, also where IPv6 wraps an IPv4 one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None and not is_public(str(inner)):
            return False
    return ip.is_global and not ip.is_multicast


async def resolve_host(host: str, port: int) -> list[str]:
    """All addresses of a name. Raises OSError."""
    resolved = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in resolved]


def _header(answer: Any, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), "")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise BadRequest(f"{_shown(url)} redirects to {_shown(location)}, which is no URL") from None


def _shown(url: str) -> str:
    return repr(url[:100])
