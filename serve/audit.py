"""Who enrolled, viewed, searched, changed and deleted ears, and when: one JSON line each, no pictures, no vectors.

Subjects appear as keyed hashes, so that deleting a person leaves no name behind, while who knows the name can still
find its lines. The file is opened for every line: it can be rotated by renaming it.
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

from serve.trace import trace_of

log = logging.getLogger(__name__)

KEY_NAME = "audit.key"
LOG_NAME = "audit.jsonl"


class Audit:
    """An audit log in `folder`; with None nothing is written."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / LOG_NAME
        self._key = b"" if folder is None else _key(folder)

    def note(self, request: Request, action: str, **facts: Any) -> None:
        """Write one line. facts: ids and counts; `subject` is hashed.

        A line that cannot be written is logged, not raised: erasing a person must not fail because the disk is full.
        """
        if self._path is None:
            return
        if facts.get("subject") is not None:
            facts["subject"] = self.alias(facts["subject"])
        trace = trace_of(request)
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "request_id": trace.request_id,
            "caller": trace.caller,
            "address": request.client.host if request.client is not None else None,
            "action": action,
            **facts,
        }
        try:
            _append(self._path, orjson.dumps(line, default=str) + b"\n")
        except OSError as error:
            log.error("the audit line of request %s (%s) is lost: %s", trace.request_id, action, error)

    def alias(self, subject: str) -> str:
        """How a subject appears: HMAC-SHA256 under the folder's own key, 16 hex digits."""
        return "subject-" + hmac.new(self._key, subject.encode(), hashlib.sha256).hexdigest()[:16]


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
