"""What the service holds while it runs: the loaded models and their gallery, the decode pool, the keys; start and stop.

Knows no route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, HTTPConnection, Request

from bundle.decoding import ImageLimits
from serve.errors import NotReady
from serve.http.api_keys import Keyring
from serve.http.body_guard import body_budget
from serve.http.middleware import Observer
from serve.http.rate_limit import Rates
from serve.http.url_fetch import Fetcher
from serve.inference.decode_pool import DecodeLimits, DecodePool
from serve.lifecycle.bulk_import import Imports
from serve.lifecycle.gauges import gauges
from serve.lifecycle.in_flight import InFlight
from serve.lifecycle.model_registry import ModelRegistry, ServedModel
from serve.lifecycle.promotion import Promotions
from serve.lifecycle.tensorrt_build import TensorrtBuilds
from serve.observability.audit import Audit, open_audit
from serve.observability.logs import AccessLog
from serve.observability.metrics import Metrics
from serve.observability.request_context import trace_of
from serve.observability.tracing import open_spans
from serve.oip.statistics import ModelStatistics
from serve.settings import Settings

ResultT = TypeVar("ResultT")
PATIENCE_S = 0.05
"""A request that takes longer is watched for its client going away; watching the quick ones would cost more."""


class Service:
    """Everything that requests share. Loads in the background after `start`; `close` drains."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.decode_pool = DecodePool(
            DecodeLimits(
                threads=settings.decode_workers,
                queue_size=settings.queue_size,
                memory_bytes=settings.memory_bytes // 4,
                request_pixels=settings.max_request_pixels,
                image=ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels),
            )
        )
        self.body_budget = body_budget(settings)
        self.fetcher = Fetcher(settings)
        self.keyring = Keyring(settings)
        self.rates = Rates(settings.rate_limit)
        self.audit = Audit()
        self.models: ModelRegistry | None = None
        self.promotions: Promotions | None = None
        self.imports: Imports | None = None
        self.tensorrt_builds: TensorrtBuilds | None = None
        self.failure: Exception | None = None
        self.in_flight = InFlight()
        self.metrics = Metrics(lambda: gauges(self.active))
        self.spans = open_spans(settings.otlp_endpoint) if settings.otlp_endpoint else None
        self.oip_statistics: dict[str, ModelStatistics] = {}
        self.on_loaded: Callable[[], None] = lambda: None
        self._loading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to load the model and the gallery; until that is done requests are answered 503."""
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self._open)
            self._watching = asyncio.create_task(self._watch())
        except Exception as error:
            self.failure = error
        self.on_loaded()

    def _open(self) -> None:
        settings = self.settings
        models = ModelRegistry(settings, self.metrics.ran, self.in_flight.outlast)
        self.audit = open_audit(settings)
        if settings.own_gallery is not None:
            self.promotions = Promotions(settings.own_gallery, models, settings)
            self.promotions.resume()
            self.imports = Imports(models, settings, self.audit)
        self.tensorrt_builds = TensorrtBuilds(models, settings)
        self.tensorrt_builds.consider()
        self.models = models

    async def _watch(self) -> None:
        while self.active is not None:
            await asyncio.sleep(self.settings.probe_s)
            await self.active.watchdog.tick()
            if self.tensorrt_builds is not None:
                self.tensorrt_builds.consider()

    @property
    def active(self) -> ServedModel | None:
        """The model that answers, with its gallery; None until it is loaded."""
        return None if self.models is None else self.models.active

    def use(self, request: HTTPConnection, space_id: str | None = None, model: str | None = None) -> ServedModel:
        """The model and gallery that answer this request: the active ones, or those that it names.

        space_id: of the vectors that it is about. model: bundle_id, space_id or alias. Raises NotReady while there is
        none, SpaceMismatch for a space that no loaded model has, NotHere for a model that is not loaded.
        """
        trace = trace_of(request)
        if not self.settings.has_keys and request.client is not None:
            trace.turn = request.client.host
        else:
            trace.turn = trace.caller
        self.in_flight.began(trace)
        models = self.loaded()
        live = models.of_space(space_id) if model is None else models.named(model)
        trace.space_id, trace.bundle_id = live.engine.ids
        return live

    def loaded(self) -> ModelRegistry:
        """The models. Raises NotReady while there are none."""
        if self.models is None:
            raise NotReady(f"the model cannot be loaded: {self.failure}" if self.failure else "the model is loading")
        return self.models

    def observers(self) -> list[Observer]:
        """Who is told of every request that has ended."""
        chosen: list[Observer | None] = [
            self.in_flight,
            self.metrics,
            AccessLog() if self.settings.log_requests else None,
            self.spans,
        ]
        return [one for one in chosen if one is not None]

    def active_ids(self) -> tuple[str, str] | None:
        """(space_id, bundle_id) of the active model."""
        return None if self.active is None else self.active.engine.ids

    async def close(self) -> None:
        """Finish what runs, within `drain_s`, and free everything."""
        if self._loading is not None:
            await self._loading
        if self._watching is not None:
            self._watching.cancel()
        if self.tensorrt_builds is not None:
            await asyncio.to_thread(self.tensorrt_builds.close)
        if self.imports is not None:
            await asyncio.to_thread(self.imports.close)
        if self.promotions is not None:
            await asyncio.to_thread(self.promotions.close)
        if self.models is not None:
            await asyncio.to_thread(self.models.close)
        self.decode_pool.close()
        await self.fetcher.close()
        if self.spans is not None:
            self.spans.close()


def service_of(request: HTTPConnection) -> Service:
    """The service that answers this request."""
    service: Service = request.app.state.service
    return service


async def attended(request: Request, work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Do the work while the client waits for it; once the client is gone, cancel it and raise ClientDisconnect."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done:
            gone = asyncio.ensure_future(_disconnected(request))
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            if not task.done():
                raise ClientDisconnect()
        return task.result()
    finally:
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
