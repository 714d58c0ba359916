"""Who may do what: API keys with scopes, kept as SHA-256 hashes and compared in constant time.

A key is 256 random bits, so a plain hash cannot be turned back; there is no password to stretch. The key file may
change while the service runs: a removed key stops working within a second.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from pathlib import Path
from typing import Annotated, Literal, get_args

from limits import parse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import HTTPConnection

from serve.errors import ConfigurationError, Forbidden, Unauthorized
from serve.settings import Settings

Scope = Literal["embed", "search", "write", "admin"]
SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
RECHECK_S = 1.0


def _checked_rate(text: str) -> str:
    try:
        parse(text)
    except ValueError:
        raise ValueError("give a rate such as 600/minute") from None
    return text


class Key(BaseModel):
    """A known API key: its name (what logs show), its hash, what it may do, how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: frozenset[Scope]
    rate_limit: Annotated[str, AfterValidator(_checked_rate)] | None = None
    created: str = ""


class KeyFile(BaseModel):
    """The key file: JSON, readable by its owner only."""

    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = []


ANYONE = Key.model_construct(name="anonymous", sha256="", scopes=SCOPES, rate_limit=None, created="")


class Keyring:
    """The keys of this service; without any, everyone may do everything (the service is then bound to loopback)."""

    def __init__(self, settings: Settings) -> None:
        api_key = settings.api_key
        self._fixed = (
            [Key(name="default", sha256=hashed(api_key.get_secret_value()), scopes=SCOPES)]
            if api_key is not None
            else []
        )
        self._path = settings.api_key_file
        self._listed: list[Key] = []
        self._stamp: tuple[int, int] | None = None
        self._looked = float("-inf")
        self._is_locked = settings.has_keys
        self._refresh()

    def admit(self, request: HTTPConnection, scope: Scope) -> Key:
        """The key of a request. Raises Unauthorized without a known key, Forbidden where it lacks the scope."""
        if not self._is_locked:
            return ANYONE
        self._refresh()
        key = self._find(_shown_key(request))
        if scope not in key.scopes:
            raise Forbidden(f"the API key {key.name!r} has the scopes {sorted(key.scopes)}; this needs {scope!r}")
        return key

    def _find(self, shown: str) -> Key:
        if not shown:  # whatever is listed: the hash of nothing opens nothing
            raise Unauthorized("an API key is needed: send the header 'Authorization: Bearer KEY' (or X-API-Key)")
        digest = hashed(shown)
        all_keys = [*self._fixed, *self._listed]
        matching = [key for key in all_keys if hmac.compare_digest(key.sha256, digest)]  # all of them: constant time
        if not matching:
            raise Unauthorized("this API key is not known")
        return matching[0]

    def _refresh(self) -> None:
        """Read the key file anew where it changed; while running, an unreadable one leaves the keys as they were."""
        if self._path is None or time.monotonic() - self._looked < RECHECK_S:
            return
        first, self._looked = self._stamp is None, time.monotonic()
        try:
            status = self._path.stat()
            if (stamp := (status.st_mtime_ns, status.st_ino)) != self._stamp:
                self._listed = read_keys(self._path).keys
                self._stamp = stamp
        except (OSError, ConfigurationError):
            if first:
                raise ConfigurationError(f"--api-key-file {self._path} cannot be read, or holds no keys") from None


def read_keys(path: Path) -> KeyFile:
    """The key file. Raises ConfigurationError; FileNotFoundError where there is none."""
    try:
        return KeyFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{path} is no key file: {place} {first['msg']}") from None


def new_key() -> str:
    """A fresh key: 256 random bits, with a prefix that secret scanners can know."""
    return "ear_" + secrets.token_urlsafe(32)


def hashed(key: str) -> str:
    """Hex SHA-256, as keys are stored."""
    return hashlib.sha256(key.encode()).hexdigest()


def _shown_key(request: HTTPConnection) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()
