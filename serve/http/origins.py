"""Keeps other people's web pages from using a visitor's browser against the service.

A page anywhere can send a form to http://127.0.0.1 (cross-site request forgery), and a name that resolves to 127.0.0.1
makes it same-origin (DNS rebinding). So a foreign Origin may change nothing, and a service without keys answers only to
the names of this machine.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from serve.errors import Forbidden, WrongHost
from serve.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Origins:
    """The check of Host and Origin headers."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = frozenset(settings.allowed_hosts)
        self._origins = frozenset(settings.cors_origins)
        self._loopback_only = settings.is_loopback and not settings.has_keys

    def check(self, method: str, headers: Headers) -> None:
        """Raise WrongHost or Forbidden for a request that some other page may have caused."""
        host = headers.get("host", "").lower()
        self._check_host(host)
        origin = headers.get("origin")
        if origin is None or method in SAFE_METHODS or origin in self._origins or "*" in self._origins:
            return
        if _host_of(origin) != host:
            raise Forbidden(f"a page of {origin[:100]!r} may not change anything here; allow it with --cors-origins")

    def _check_host(self, host: str) -> None:
        name = _name(host)
        if name in self._hosts or (self._loopback_only and _is_loopback(name)):
            return
        if self._hosts or self._loopback_only:
            raise WrongHost(f"this service does not answer to the host {name[:100]!r}; allow it with --allowed-hosts")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # "http://[": of no host
        return None


def _name(host: str) -> str:
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    try:
        return name in ("", "localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
