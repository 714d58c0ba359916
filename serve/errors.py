"""What can go wrong in the service, and the one table that turns any exception of any room into an HTTP status.

    ServeError
    ├── ConfigurationError      the service cannot start as told
    ├── BadRequest              400, names the parameter
    │   └── PictureRefused      422, below a limit that the request sets
    ├── Unauthorized            401
    ├── Forbidden               403, the key lacks a scope
    ├── WrongHost               421, not a name of this service (DNS rebinding)
    ├── NotHere                 404, nothing of that name, or this service was started without it
    ├── PromotionConflict       409, not in this state, or not with this report
    ├── ImportConflict          409, another import is running
    ├── BodyTooLarge            413
    ├── TooSlow                 408, the body did not arrive in time
    ├── Overloaded              429, load: the queue is full
    │   ├── DeadlineExceeded    429, the request's time was over before its turn
    │   └── RateLimited         429, this key asked too often
    ├── NotReady                503, starting, closing, or a worker died
    └── RuntimeStalled          503, the model hangs

What load alone causes is 429, what keeps the service from answering at any load is 503; both say when to come back.
Other rooms' exceptions are named in TABLE; they know nothing of it. Knows no route.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from bundle.errors import BundleError, ContractError, ImageError, ImageTooLarge, ImageTooSmall
from index.errors import (
    BackupRefused,
    BadFilter,
    BadItem,
    BadVector,
    CalibrationRefused,
    DuplicateItem,
    GalleryError,
    GalleryReadOnly,
    ImportRefused,
    ItemNotFound,
    PromotionRefused,
    SpaceMismatch,
    TooFewToCentre,
)
from measure.errors import MeasureError


class ServeError(Exception):
    """Root of the service's own errors. The message is one line for the one who asked."""

    is_user_error = True


class ConfigurationError(ServeError):
    """The service cannot start with these settings."""


class BadRequest(ServeError):
    """Something in the request is wrong; `param` names what."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class PictureRefused(BadRequest):
    """The picture is below a limit that the request sets; `param` names it."""


class Unauthorized(ServeError):
    """No API key, or one that is not known."""


class Forbidden(ServeError):
    """The API key does not cover this."""


class PromotionConflict(ServeError):
    """A promotion is not in the state that this needs, or its report speaks against it."""


class ImportConflict(ServeError):
    """One bulk import at a time."""


class WrongHost(ServeError):
    """The request named a host that this service does not answer to."""


class NotHere(ServeError):
    """Nothing of that name."""


class BodyTooLarge(ServeError):
    """The request's body exceeds the limit."""


class TooSlow(ServeError):
    """The request's body did not arrive in time."""


class Overloaded(ServeError):
    """There is more to do than the service takes on. retry_after_s: when it is worth asking again."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(Overloaded):
    """The request's time was over while it waited. waiting: how many wait for what."""

    def __init__(self, waiting: str = "", retry_after_s: float = 5.0) -> None:
        super().__init__(f"the request's time was over before its turn came{waiting and ': '}{waiting}", retry_after_s)


class RateLimited(Overloaded):
    """This key asked more often than its limit allows."""


class NotReady(ServeError):
    """The service is starting, closing, or has just lost a worker."""


class RuntimeStalled(ServeError):
    """The model's runtime does not come back."""


class Problem(NamedTuple):
    """How an exception is answered: HTTP status, the error's type (a family, as OpenAI's clients know it) and code."""

    status: int
    type: str
    code: str


INVALID = "invalid_request_error"
TABLE: dict[type[BaseException], Problem] = {
    BadRequest: Problem(400, INVALID, "bad_request"),
    PictureRefused: Problem(422, INVALID, "below_limit"),
    Unauthorized: Problem(401, "authentication_error", "invalid_api_key"),
    Forbidden: Problem(403, "permission_error", "missing_scope"),
    PromotionConflict: Problem(409, INVALID, "promotion_conflict"),
    ImportConflict: Problem(409, INVALID, "import_running"),
    WrongHost: Problem(421, INVALID, "wrong_host"),
    NotHere: Problem(404, INVALID, "not_found"),
    TooSlow: Problem(408, INVALID, "body_too_slow"),
    BodyTooLarge: Problem(413, INVALID, "body_too_large"),
    RateLimited: Problem(429, "rate_limit_error", "rate_limited"),
    DeadlineExceeded: Problem(429, "overloaded_error", "deadline_exceeded"),
    Overloaded: Problem(429, "overloaded_error", "queue_full"),
    NotReady: Problem(503, "unavailable_error", "not_ready"),
    RuntimeStalled: Problem(503, "unavailable_error", "runtime_stalled"),
    ImageTooLarge: Problem(413, INVALID, "image_too_large"),
    ImageTooSmall: Problem(400, INVALID, "image_too_small"),
    ImageError: Problem(400, INVALID, "invalid_image"),
    ContractError: Problem(400, INVALID, "contract_broken"),
    ClientDisconnect: Problem(499, INVALID, "client_gone"),
    BundleError: Problem(503, "unavailable_error", "bundle_unusable"),
    MeasureError: Problem(400, INVALID, "not_calibrated"),
    PromotionRefused: Problem(409, INVALID, "promotion_refused"),
    SpaceMismatch: Problem(409, INVALID, "space_mismatch"),
    ItemNotFound: Problem(404, INVALID, "item_not_found"),
    DuplicateItem: Problem(409, INVALID, "duplicate_item"),
    BadItem: Problem(400, INVALID, "bad_item"),
    BadVector: Problem(400, INVALID, "bad_vector"),
    CalibrationRefused: Problem(409, INVALID, "too_few_labelled"),
    TooFewToCentre: Problem(409, INVALID, "too_few_to_centre"),
    BadFilter: Problem(400, INVALID, "bad_filter"),
    ImportRefused: Problem(400, INVALID, "import_refused"),
    BackupRefused: Problem(400, INVALID, "backup_refused"),
    GalleryReadOnly: Problem(503, "unavailable_error", "gallery_read_only"),
    GalleryError: Problem(503, "unavailable_error", "gallery_unavailable"),
}
UNEXPECTED = Problem(500, "server_error", "internal_error")
HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 415: "unsupported_media_type"}


def problem_of(error: BaseException) -> Problem:
    """How this exception is answered: the nearest class of its tree that the table names."""
    for family in type(error).__mro__:
        if family in TABLE:
            return TABLE[family]
    if isinstance(error, HTTPException):
        return Problem(error.status_code, INVALID, HTTP_CODES.get(error.status_code, "http_error"))
    return UNEXPECTED


def message_of(error: BaseException) -> str:
    """The words for the one who asked; an unexpected exception gives nothing away."""
    if isinstance(error, HTTPException):
        return str(error.detail)
    if problem_of(error) is UNEXPECTED:
        return "something went wrong in the service; its log has the details under this request id"
    return str(error)


def retry_after_s(error: BaseException) -> int | None:
    """Whole seconds for the Retry-After header, where asking again can help."""
    if isinstance(error, Overloaded):
        return max(1, round(error.retry_after_s + 0.5))
    return 2 if problem_of(error).status == 503 else None


def error_body(error: BaseException, request_id: str) -> dict[str, Any]:
    """The JSON body under /v1, as OpenAI's clients read it."""
    problem = problem_of(error)
    details = {"param": getattr(error, "param", None), "code": problem.code, "request_id": request_id}
    return {"error": {"message": message_of(error), "type": problem.type, **details}}
