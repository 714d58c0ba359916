"""What the service holds while it runs: the active model with its gallery, the decode pool, the keys; start and stop.

The active pair is one frozen value, read once per request and swapped in one step. Knows no route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, HTTPConnection, Request

from bundle.image import ImageLimits
from serve.audit import Audit
from serve.desk import Desk
from serve.engine import BatchObserver, Engine
from serve.envelope import Observer
from serve.errors import NotHere, NotReady
from serve.gauges import gauges
from serve.intake import Intake
from serve.keys import Keyring
from serve.logs import AccessLog
from serve.metrics import Metrics
from serve.oip.statistics import ModelStatistics
from serve.rates import Rates
from serve.remote import Fetcher
from serve.settings import Settings
from serve.trace import trace_of
from serve.tracing import open_spans
from serve.watchdog import Watchdog

ResultT = TypeVar("ResultT")
PATIENCE_S = 0.05
"""A request that takes longer is watched for its client going away; watching the quick ones would cost more."""


@dataclass(frozen=True)
class Active:
    """A model, its watchdog, and the gallery whose vectors it made; `desk` is None where there is no gallery."""

    engine: Engine
    desk: Desk | None
    watchdog: Watchdog

    @property
    def gallery_desk(self) -> Desk:
        """The desk, or NotHere where there is none."""
        if self.desk is None:
            raise NotHere("this service was started without a gallery; start it with --gallery FOLDER")
        return self.desk


class Service:
    """Everything that requests share. Loads in the background after `start`; `close` drains."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        limits = ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_pixels)
        self.intake = Intake(settings.decode_workers, settings.queue_size, limits)
        self.fetcher = Fetcher(settings)
        self.keyring = Keyring(settings)
        self.rates = Rates(settings.rate_limit)
        self.audit = Audit(None)
        self.active: Active | None = None
        self.failure: Exception | None = None
        self.metrics = Metrics(lambda: gauges(self))
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
            self.active = await asyncio.to_thread(open_active, self.settings, self.metrics.ran)
            self.audit = Audit(self.settings.gallery if self.settings.audit else None)
            self._watching = asyncio.create_task(self.active.watchdog.watch())
        except Exception as error:
            self.failure = error
        self.on_loaded()

    def use(self, request: HTTPConnection) -> Active:
        """The model and gallery that answer this request. Raises NotReady while there is none."""
        active = self.active
        if active is None:
            raise NotReady(f"the model cannot be loaded: {self.failure}" if self.failure else "the model is loading")
        trace = trace_of(request)
        trace.space_id, trace.bundle_id = active.engine.ids
        return active

    def observers(self) -> list[Observer]:
        """Who is told of every request that has ended."""
        chosen: list[Observer | None] = [self.metrics, AccessLog() if self.settings.log_requests else None, self.spans]
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
        if self.active is not None:
            await asyncio.to_thread(self.active.engine.close, self.settings.drain_s)
            if self.active.desk is not None:
                await asyncio.to_thread(self.active.desk.close)
        self.intake.close()
        await self.fetcher.close()
        if self.spans is not None:
            self.spans.close()


def open_active(settings: Settings, observe: BatchObserver) -> Active:
    """Load the bundle, let it prove itself on its golden crops, warm it up, open the gallery of its space."""
    from bundle.model import load
    from index.gallery import open_gallery

    model = load(settings.bundle, settings.runtime, settings.precision, settings.threads)
    model.check_golden()
    engine = Engine(model, settings, observe)
    engine.warm_up()
    watchdog = Watchdog(engine, settings.probe_s, settings.stalled_after_s)
    if settings.gallery is None:
        return Active(engine, None, watchdog)
    try:
        gallery = open_gallery(settings.gallery, dim=model.latent_dim, space_id=model.space_id)
    except Exception:
        engine.close()
        raise
    return Active(engine, Desk(gallery, settings.index_threads), watchdog)


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
