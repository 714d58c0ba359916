"""Wires the service: settings -> a FastAPI application. Handlers live in serve/routes; nothing is decided here."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from bundle.errors import BundleError
from index.errors import GalleryError
from measure.errors import MeasureError
from serve.errors import ConfigurationError, ServeError
from serve.http.middleware import RequestMiddleware, error_answer
from serve.http.openapi import without_422
from serve.http.parameters import bad_request
from serve.http.proxy import add_proxy_support, route_path
from serve.observability.request_context import trace_of
from serve.routes import (
    calibrations,
    decode,
    drift,
    duplicates,
    embed,
    embeddings,
    enrol,
    explain,
    health,
    imports,
    items,
    landmarks,
    models,
    page,
    promotions,
    put,
    reconstruct,
    search,
    v2,
    verify,
)
from serve.service import Service
from serve.settings import Settings

NO_GRPC = "--grpc-port needs the extra grpc: in the source tree, pip install '.[grpc]'"
log = logging.getLogger(__name__)
DESCRIPTION = "Embeddings, reconstructions and nearest neighbours of ears."
EXPECTED = (
    ServeError,
    BundleError,
    GalleryError,
    MeasureError,
    HTTPException,
    RequestValidationError,
    ClientDisconnect,
)
EXPOSED = ("Location", "Retry-After", "Server-Timing", "X-Request-Id", "X-Ear-Space-Id", "X-Ear-Bundle-Id")
"""Headers that pages of other origins may read."""
ROUTES = (
    embed,
    landmarks,
    embeddings,
    reconstruct,
    decode,
    search,
    verify,
    explain,
    enrol,
    items,
    put,
    imports,
    drift,
    duplicates,
    models,
    calibrations,
    promotions,
    health,
    v2,
    page,
)


def create_app(settings: Settings) -> FastAPI:
    """The application. Its model loads once it starts; until then requests are answered 503."""
    service = Service(settings)
    app = FastAPI(
        title="ear-teacher",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.service = service
    for kind in EXPECTED:
        app.add_exception_handler(kind, _answer_error)
    app.add_middleware(
        RequestMiddleware,
        settings=settings,
        body_budget=service.body_budget,
        active_ids=service.active_ids,
        observers=service.observers(),
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    add_proxy_support(app, settings)
    for module in ROUTES:
        app.include_router(module.router)
    app.include_router(v2.models_router)
    page.mount_files(app)
    app.openapi = lambda: without_422(app)  # type: ignore[method-assign]  # as FastAPI's documentation has it
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    service.start()
    stop_grpc = await _start_grpc(app, service)
    yield
    await stop_grpc()
    await service.close()


async def _start_grpc(app: FastAPI, service: Service) -> Callable[[], Awaitable[None]]:
    """Serve gRPC too where the settings ask for it; returns what stops it. `app.state.grpc_port` is its port."""

    async def nothing() -> None:
        return None

    if service.settings.grpc_port is None:
        return nothing
    try:
        from serve.oip.grpc_server import start_server

        server, app.state.grpc_port = await start_server(app, service.settings)
    except (ConfigurationError, ModuleNotFoundError) as error:
        service.failure = error if isinstance(error, ConfigurationError) else ConfigurationError(NO_GRPC)
        service.on_loaded()
        return nothing
    log.info("gRPC on port %d", app.state.grpc_port)
    return partial(server.stop, service.settings.drain_s)


async def _answer_error(request: Request, error: Exception) -> Response:
    refusal = bad_request(error.errors()) if isinstance(error, RequestValidationError) else error
    return error_answer(refusal, trace_of(request).request_id, route_path(request.scope))
