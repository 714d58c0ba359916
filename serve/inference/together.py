"""Jobs of one request side by side, all or none: once one fails, or the caller has gone, the others are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def together(jobs: Iterable[Awaitable[ResultT]]) -> list[ResultT]:
    """The results of all jobs, in order. Raises what the first one raised that failed; the others are cancelled."""
    running = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*running)
    finally:
        for job in running:
            job.cancel()
