"""The pools of threads: bounded, no work for whoever has gone or is too late, time side by side counted once."""

import asyncio
import threading
import time

import pytest

from serve.errors import DeadlineExceeded, Overloaded
from serve.inference.thread_pool import Pool
from serve.observability.request_context import Trace


@pytest.fixture
def gate():
    return threading.Event()


@pytest.fixture
def pool(gate):
    made = Pool(1, 3, "pool", "too many wait")
    yield made
    gate.set()
    made.close(wait=True)


def trace(seconds=20.0):
    return Trace("r", time.monotonic() + seconds)


async def occupied(pool, gate):
    """A job that holds the only thread."""
    entered = threading.Event()
    held = asyncio.ensure_future(pool.run(trace(), "decode", lambda: (entered.set(), gate.wait(20))))
    await asyncio.to_thread(entered.wait, 20)
    return held


def test_a_job_whose_time_is_over_before_its_turn_is_refused_and_never_run(pool, gate):
    ran = []

    async def story():
        held = await occupied(pool, gate)
        late = asyncio.ensure_future(pool.run(trace(0.02), "decode", lambda: ran.append(1)))
        await asyncio.sleep(0.05)
        gate.set()
        await held
        with pytest.raises(DeadlineExceeded, match="before its turn"):
            await late

    asyncio.run(story())
    assert ran == []


def test_a_waiting_job_is_dropped_with_its_request_and_its_place_is_free(pool, gate):
    ran = []

    async def story():
        held = await occupied(pool, gate)
        waiting = [asyncio.ensure_future(pool.run(trace(), "decode", lambda n=n: ran.append(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="too many wait"):
            await pool.run(trace(), "decode", lambda: ran.append(3))
        waiting[0].cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(pool.run(trace(), "decode", lambda: ran.append(4))))
        gate.set()
        await asyncio.gather(held, *waiting[1:])

    asyncio.run(story())
    assert ran == [2, 4]


def test_what_waits_side_by_side_counts_once_and_what_follows_is_added(pool, gate):
    request = trace()

    async def story():
        nap = [pool.run(request, "decode", lambda: time.sleep(0.1)) for _ in range(3)]
        await asyncio.gather(*nap)
        together = request.stages_ms["decode"]
        await pool.run(request, "decode", lambda: time.sleep(0.1))
        return together

    together = asyncio.run(story())
    assert 300 <= together < 500  # one after the other in one thread; the sum of their waits would be 600
    assert request.stages_ms["decode"] >= together + 100
