"""One line per request and per event, as text or as JSON, with the request's id. No picture, vector or subject.

Routes are logged as their templates (`/v1/gallery/subjects/{subject}`), so that no name of a person gets into a log.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Literal

import orjson

from serve.observability.request_context import Trace

access = logging.getLogger("serve.access")


class JsonFormatter(logging.Formatter):
    """A log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """A log record for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")


def configure(style: Literal["text", "json"]) -> None:
    """Send the service's and uvicorn's log lines to stderr in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    for name in ("serve", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == "serve" else logging.WARNING)


class AccessLog:
    """Logs every finished request."""

    def finished(self, trace: Trace, route: str, method: str, status: int) -> None:
        """One line: what was asked, by which key, how it ended, how long each stage took."""
        if not access.isEnabledFor(logging.INFO):
            return
        ms = round(trace.elapsed_ms, 2)
        fields = {
            "request_id": trace.request_id,
            "caller": trace.caller,
            "method": method,
            "route": route,
            "status": status,
            "ms": ms,
            "stages_ms": {stage: round(value, 2) for stage, value in trace.stages_ms.items()},
            "bundle_id": trace.bundle_id,
        }
        access.info("%s %s %d %.1f ms %s", method, route, status, ms, trace.request_id, extra={"fields": fields})
