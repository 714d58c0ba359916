"""Who may do what: API keys with scopes, kept as SHA-256 hashes and compared in constant time.

A key is 256 random bits, so a plain hash cannot be turned back; there is no password to stretch.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal, get_args

from starlette.requests import HTTPConnection

from serve.errors import Forbidden, Unauthorized
from serve.settings import Settings

Scope = Literal["embed", "search", "write", "admin"]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))


@dataclass(frozen=True)
class Key:
    """A known API key: its name (what logs show), its hash, what it may do."""

    name: str
    sha256: str
    scopes: frozenset[Scope]


ANYONE = Key("anonymous", "", SCOPES)


class Keyring:
    """The keys of this service; without any, everyone may do everything (the service is then bound to loopback)."""

    def __init__(self, keys: tuple[Key, ...]) -> None:
        self._keys = keys

    @classmethod
    def of(cls, settings: Settings) -> Keyring:
        """The keys that the settings name."""
        if settings.api_key is None:
            return cls(())
        return cls((Key("default", hashed(settings.api_key.get_secret_value()), SCOPES),))

    def admit(self, request: HTTPConnection, scope: Scope) -> Key:
        """The key of a request. Raises Unauthorized without a known key, Forbidden where it lacks the scope."""
        if not self._keys:
            return ANYONE
        key = self._find(_shown_key(request))
        if scope not in key.scopes:
            raise Forbidden(f"the API key {key.name!r} has the scopes {sorted(key.scopes)}; this needs {scope!r}")
        return key

    def _find(self, shown: str) -> Key:
        digest = hashed(shown)
        found = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]  # all of them: constant time
        if not found:
            raise Unauthorized(
                "this API key is not known"
                if shown
                else "an API key is needed: send the header 'Authorization: Bearer KEY' (or X-API-Key)"
            )
        return found[0]


def hashed(key: str) -> str:
    """Hex SHA-256, as keys are stored."""
    return hashlib.sha256(key.encode()).hexdigest()


def _shown_key(request: HTTPConnection) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
