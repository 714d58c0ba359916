"""Who enrolled, viewed, searched, changed and deleted ears, and when: one JSON line each, no pictures, no vectors.

Subjects and the places of imports appear as keyed hashes, so that deleting a person leaves no name behind, while who
knows the name can still find its lines. A file is opened for every line: it can be rotated by renaming it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request

from serve.errors import ConfigurationError
from serve.observability.request_context import trace_of
from serve.settings import Settings

log = logging.getLogger(__name__)
lines = logging.getLogger("serve.observability.audit.lines")

KEY_NAME = "audit.key"
LOG_NAME = "audit.jsonl"
HASHED = ("subject", "source")


class Audit:
    """An audit log in the file `path`, or with None on the logger `lines`. Without a `key` for hashes it is none."""

    def __init__(self, path: Path | None = None, key: bytes = b"") -> None:
        self._path, self._key = path, key

    def note(self, request: Request, action: str, **facts: Any) -> None:
        """Write one line of a request. facts: ids and counts; those named in HASHED are hashed.

        A line that cannot be written is logged, not raised: erasing a person must not fail because the disk is full.
        """
        trace = trace_of(request)
        address = request.client.host if request.client is not None else None
        who = {"request_id": trace.request_id, "caller": trace.caller, "address": address}
        self._write({**who, "action": action, **facts})

    def note_aside(self, action: str, **facts: Any) -> None:
        """Write one line of work in the background; its facts name what it belongs to."""
        self._write({"action": action, **facts})

    def _write(self, facts: dict[str, Any]) -> None:
        if not self._key:
            return
        aliases = {kind: self.alias(facts[kind], kind) for kind in HASHED if facts.get(kind) is not None}
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = orjson.dumps({"time": time, **facts, **aliases}, default=str)
        if self._path is None:
            lines.info("%s", line.decode())
            return
        try:
            _append(self._path, line + b"\n")
        except OSError as error:
            log.error("an audit line could not be written (%s): %s", error, line.decode())

    def alias(self, name: str, kind: str = "subject") -> str:
        """How a name appears: HMAC-SHA256 under the log's own key, 16 hex digits."""
        return f"{kind}-" + hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()[:16]


def open_audit(settings: Settings) -> Audit:
    """The audit log that the settings ask for; says where it is kept. Raises ConfigurationError.

    That of an own gallery lies in its folder, with its key. A shared gallery has no folder that lasts: there it is the
    file `audit_log`, else the log, and the key is `audit_key`, the same for every process.
    """
    folder = settings.own_gallery
    if not settings.audit or not settings.has_gallery:
        return Audit()
    path = settings.audit_log or (folder / LOG_NAME if folder is not None else None)
    try:
        if path is not None:
            _append(path, b"")
        from_settings = settings.audit_key.get_secret_value().encode() if settings.audit_key else b""
        key = from_settings or (_key(folder) if folder is not None else b"")
    except OSError as error:
        raise ConfigurationError(f"the audit log {path} cannot be written: {error.strerror}") from None
    log.info("the audit log is %s", path or f"here: lines of the logger {lines.name}")
    if not key:
        log.warning("subjects have other aliases in each process's audit log: set EAR_TEACHER_AUDIT_KEY, one for all")
    return Audit(path, key or secrets.token_bytes(32))


def _append(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # one write of O_APPEND: lines of several threads do not mix
    finally:
        os.close(descriptor)


def _key(folder: Path) -> bytes:
    path = folder / KEY_NAME
    try:
        return path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
        return key
