"""Behind a reverse proxy: the path prefix under which it shows the service, and the address of the real caller.

The prefix is the setting's, or `X-Forwarded-Prefix` from a trusted proxy; the proxy may strip it or leave it in the
path. Callers' addresses come from `X-Forwarded-For`, which uvicorn's middleware reads. Headers of any other peer are
not believed.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from serve.settings import Settings

PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


class ProxyPrefix:
    """ASGI middleware: puts the prefix into the path and into `root_path`, as the ASGI specification has it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._prefix = app, settings.root_path
        self._networks = [ipaddress.ip_network(network) for network in settings.trusted_proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (prefix := self._prefix or self._forwarded(scope)):
            scope = {**scope, "root_path": prefix, "path": _under(prefix, scope["path"])}
            scope.pop("raw_path", None)
        await self._app(scope, receive, send)

    def _forwarded(self, scope: Scope) -> str:
        """The prefix that a trusted proxy names; empty where there is none."""
        if not self._networks or scope.get("client") is None:
            return ""
        prefix = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
        return prefix if PREFIX.fullmatch(prefix) and self._trusts(scope["client"][0]) else ""

    def _trusts(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def route_path(scope: Scope) -> str:
    """The path of a request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def add_proxy_support(app: FastAPI, settings: Settings) -> None:
    """Add what reads proxies' headers, outside all other middleware."""
    if settings.trusted_proxies:
        reader: Any = ProxyHeadersMiddleware
        app.add_middleware(reader, trusted_hosts=list(settings.trusted_proxies))
    app.add_middleware(ProxyPrefix, settings=settings)


def _under(prefix: str, path: str) -> str:
    return path if path == prefix or path.startswith(f"{prefix}/") else prefix + path
