"""What is around every request: its id, its trace, limits on its body, headers of every answer, the last resort.

Plain ASGI, outside all routes. Knows no route and no model; `Service` tells it the ids of the active model.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import error_body, message_of, problem_of, retry_after_s
from serve.http.body_guard import BodyGuard
from serve.http.origins import Origins
from serve.http.proxy import route_path
from serve.http.responses import Answer
from serve.http.security_headers import security_headers
from serve.inference.fair_limit import FairLimit
from serve.observability.request_context import CURRENT, SCOPE_KEY, Trace
from serve.settings import Settings

log = logging.getLogger("serve.requests")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
Ids = tuple[str, str]
CLIENT_GONE = 499


class Observer(Protocol):
    """Told of every request that has ended."""

    def finished(self, trace: Trace, route: str, method: str, status: int) -> None:
        """route: its template. status: 499 where the client had gone before an answer."""


class RequestMiddleware:
    """ASGI middleware.

    body_budget: bytes of bodies in memory at once. active_ids: (space_id, bundle_id) of the active model, None while
    there is none. observers: told of every request that has ended.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        body_budget: FairLimit,
        active_ids: Callable[[], Ids | None],
        observers: Sequence[Observer],
    ) -> None:
        self._app, self._settings, self._active_ids, self._observers = app, settings, active_ids, observers
        self._origins, self._body_budget = Origins(settings), body_budget
        # "localhost" is one name for everything on a developer's machine: to force https on it would break the rest
        self._https_only = settings.tls_cert is not None and not settings.is_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, path, headers = scope["method"], route_path(scope), Headers(scope=scope)
        if method == "HEAD":  # answered as GET is; the server leaves the body out
            scope = {**scope, "method": "GET"}
        deadline = time.monotonic() + self._settings.request_timeout_s
        trace = Trace(_request_id(headers), deadline, traceparent=headers.get("traceparent", ""))
        trace.root_path = scope.get("root_path", "")
        scope[SCOPE_KEY] = trace
        before = CURRENT.set(trace)
        stamped = _Stamp(send, trace, security_headers(path, self._https_only), self._active_ids)
        try:
            self._origins.check(method, headers)
            guard = BodyGuard(scope, receive, self._settings, self._body_budget, trace)
            stamped.on_start = guard.release
            await self._app(scope, guard.receive, stamped)
        except Exception as error:
            if problem_of(error).status == 500:
                log.exception("request %s failed", trace.request_id)
            if not stamped.started:
                await error_answer(error, trace.request_id, path)(scope, receive, stamped)
        finally:
            stamped.on_start()
            CURRENT.reset(before)
            route = getattr(scope.get("route"), "path", "unmatched")
            for observer in self._observers:
                observer.finished(trace, route, method, stamped.status)


class _Stamp:
    """Puts the request id and the model's ids on the answer as it starts."""

    def __init__(
        self, send: Send, trace: Trace, kept: Sequence[tuple[str, str]], active_ids: Callable[[], Ids | None]
    ) -> None:
        self._send, self._trace, self._kept, self._active_ids = send, trace, kept, active_ids
        self.status = CLIENT_GONE
        self.on_start: Callable[[], None] = lambda: None

    @property
    def started(self) -> bool:
        return self.status != CLIENT_GONE

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.on_start()
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._trace.request_id
            ids = self._ids()
            if ids is not None:
                headers["X-Ear-Space-Id"], headers["X-Ear-Bundle-Id"] = ids
            for name, value in self._kept:
                headers.setdefault(name, value)
        await self._send(message)

    def _ids(self) -> Ids | None:
        """The ids of the model that answered, else of the active one."""
        if self._trace.space_id and self._trace.bundle_id:
            return self._trace.space_id, self._trace.bundle_id
        return self._active_ids()


def error_answer(error: BaseException, request_id: str, path: str) -> Answer:
    """Any exception as an answer: the OpenAI shape, or `{"error": text}` under /v2."""
    status = problem_of(error).status
    headers = dict(getattr(error, "headers", None) or {})
    if (seconds := retry_after_s(error)) is not None:
        headers["Retry-After"] = str(seconds)
    if status in (408, 413):
        headers["Connection"] = "close"  # the rest of the body is not worth reading
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"error": message_of(error)} if path.startswith("/v2") else error_body(error, request_id)
    return Answer(body, status, headers)


def _request_id(headers: Headers) -> str:
    request_id = headers.get("x-request-id", "")
    return request_id if REQUEST_ID.fullmatch(request_id) else uuid.uuid4().hex
