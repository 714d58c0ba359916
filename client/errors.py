"""What a call of the service may end in, for Python programs.

CallError
├── Refused            4xx: the request cannot be answered as it is
│   ├── NotAllowed     401, 403: no key, or one without the scope
│   ├── Missing        404
│   └── Conflict       409: not now: another import runs, a promotion is in another state
│       └── SpaceConflict   vectors of another encoder
├── Busy               429, after all retries
└── Unavailable        5xx or no connection, after all retries
"""

from __future__ import annotations

from typing import Any


class CallError(Exception):
    """Root. status: HTTP status, None without an answer."""

    is_user_error = True

    def __init__(
        self, message: str, status: int | None = None, code: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message + (f" (request {request_id})" if request_id else ""))
        self.status, self.code, self.request_id = status, code, request_id


class Refused(CallError):
    """The request cannot be answered as it is."""


class NotAllowed(Refused):
    """No API key, or one that does not cover this."""


class Missing(Refused):
    """Nothing of that name."""


class Conflict(Refused):
    """Not in the state that the service is in."""


class SpaceConflict(Conflict):
    """A vector of another encoder."""


class Busy(CallError):
    """The service had no room, each time it was asked."""


class Unavailable(CallError):
    """The service is down, starting, or failed."""


BY_STATUS = {401: NotAllowed, 403: NotAllowed, 404: Missing, 409: Conflict, 429: Busy}
BY_CODE = {"space_mismatch": SpaceConflict}


def error_of(status: int, body: Any) -> CallError:
    """The exception for an answer that is no success."""
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {"message": str(error or f"HTTP {status}")}
    code = error.get("code")
    kind = BY_CODE.get(str(code)) or BY_STATUS.get(status, Refused if status < 500 else Unavailable)
    return kind(str(error.get("message")), status, code, error.get("request_id"))
