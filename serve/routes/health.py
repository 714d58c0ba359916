"""GET /health/live, /health/ready and /metrics: alive is not ready, and ready is not said unless it is true."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve.http.responses import Answer
from serve.readiness import check
from serve.service import service_of

router = APIRouter(tags=["health"])


@router.get("/health/live", response_class=Answer)
async def live(request: Request) -> Answer:
    """The process answers. Restart it when this does not."""
    return Answer({"status": "alive"})


@router.get("/health/ready", response_class=Answer, responses={503: {"description": "what is not ready, by name"}})
async def ready(request: Request) -> Answer:
    """Send traffic only while this is 200: the golden crops came out right, the workers live, the store writes."""
    report = await check(service_of(request))
    return Answer(report, 200 if report["status"] == "ready" else 503)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus metrics. No names of people, no pictures: counts and times."""
    text = await asyncio.to_thread(service_of(request).metrics.text)  # the gallery is asked for its count
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
