"""Whether the service may be sent traffic: each part by name, `ok` or what is wrong with it."""

from __future__ import annotations

import asyncio

from client.service_models import Readiness
from index.errors import GalleryError
from serve.inference.engine import Engine
from serve.inference.gallery_pool import GalleryPool
from serve.service import Service

STORE_PATIENCE_S = 2.0


async def check(service: Service) -> Readiness:
    """Ready, or not and why."""
    checks = await _checks(service)
    ready = all(state == "ok" for state in checks.values())
    return Readiness("ready" if ready else "not ready", checks)


async def _checks(service: Service) -> dict[str, str]:
    if service.failure is not None:
        return {"model": f"cannot be loaded: {service.failure}"}
    if service.active is None:
        return {"model": "loading"}
    active = service.active
    golden = active.watchdog.trouble or "ok"  # it passed its golden check before it became active
    checks = {"model": "ok", "golden": golden, **_workers(active.engine)}
    if active.gallery_pool is not None:
        checks["gallery"] = await _store(active.gallery_pool)
    return checks


def _workers(engine: Engine) -> dict[str, str]:
    states = {}
    for graph, batcher in engine.batchers.items():
        if batcher.stalled_s:
            states[graph] = f"busy with one batch for {batcher.stalled_s:.0f} s"
        else:
            states[graph] = "ok" if batcher.is_alive else "its worker is dead"
    return states


async def _store(gallery_pool: GalleryPool) -> str:
    try:
        async with asyncio.timeout(STORE_PATIENCE_S):
            await asyncio.to_thread(gallery_pool.gallery.check_writable)
    except GalleryError as error:
        return str(error)
    except TimeoutError:
        return f"did not answer within {STORE_PATIENCE_S:g} s"
    return "ok"
