"""A few threads for what would hold the event loop: bounded, and with no time for a request whose own is over.

Knows neither pictures nor gallery: jobs go in, results come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serve.errors import DeadlineExceeded, Overloaded
from serve.observability.request_context import Trace

ResultT = TypeVar("ResultT")


class Pool:
    """Threads named `name`; `queue_size` jobs may wait or run. refusal: what Overloaded says beyond that."""

    def __init__(self, threads: int, queue_size: int, name: str, refusal: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._room, self._refusal = queue_size, refusal

    async def run(self, trace: Trace, stage: str, job: Callable[[], ResultT]) -> ResultT:
        """Run a job; its wait and its run count as `stage`. One that has not begun is dropped on cancel.

        Raises Overloaded where there is no room, DeadlineExceeded where the request's time was over before its turn.
        """
        if self._room <= 0:
            raise Overloaded(self._refusal)

        def in_time() -> ResultT:
            if time.monotonic() >= trace.deadline:
                raise DeadlineExceeded()
            return job()

        self._room -= 1
        try:
            with trace.timed(stage):
                return await asyncio.get_running_loop().run_in_executor(self._threads, in_time)
        finally:
            self._room += 1

    def close(self, wait: bool) -> None:
        """Drop what waits. wait: until what runs has ended, too."""
        self._threads.shutdown(wait=wait, cancel_futures=True)
