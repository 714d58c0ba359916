"""GET /health/live, /health/ready and /metrics: alive is not ready, and ready is not said unless it is true."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from client.operations import LIVE, METRICS, READY
from client.service_models import Liveness, Readiness
from serve.http.openapi import answer_model
from serve.http.responses import Answer
from serve.readiness import check
from serve.routes.common import serves
from serve.service import service_of

router = APIRouter(tags=["health"])

NOT_READY = {503: {"description": "what is not ready, by name", "model": answer_model(Readiness)}}
TEXT = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@serves(router, LIVE, None)
async def live(request: Request) -> Answer:
    """The process answers. Restart it when this does not."""
    return Answer(Liveness("alive"))


@serves(router, READY, None, responses=NOT_READY)
async def ready(request: Request) -> Answer:
    """Send traffic only while this is 200: the golden crops came out right, the workers live, the store writes."""
    readiness = await check(service_of(request))
    return Answer(readiness, 200 if readiness.status == "ready" else 503)


@serves(router, METRICS, None, responses=TEXT)
async def metrics(request: Request) -> Response:
    """Prometheus metrics. No names of people, no pictures: counts and times."""
    text = await asyncio.to_thread(service_of(request).metrics.text)  # the gallery is asked for its count
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
