"""GET /health/live and /health/ready: alive is not ready, and ready is not said unless it is true."""

from __future__ import annotations

from fastapi import APIRouter, Request

from serve.answers import Answer
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
