"""Large pictures wait for memory, callers are served in turn, a request has a limit of pixels."""

import asyncio
import functools
import threading
import time

import pytest

from bundle.framing import DEFAULT_FRAMING
from serve.errors import BodyTooLarge, DeadlineExceeded, Overloaded
from serve.inference.decode_pool import DecodeLimits, DecodePool
from serve.observability.request_context import Trace
from tests.bundle.pictures import encoded, scene


def trace(turn="anyone", seconds=20.0):
    made = Trace("r", time.monotonic() + seconds)
    made.turn = turn
    return made


@pytest.fixture
def pool():
    made = DecodePool(DecodeLimits(threads=1, queue_size=50, memory_bytes=64 << 20, request_pixels=20_000_000))
    yield made
    made.close()


@functools.cache
def large():
    return encoded(scene(2600, 2000), "JPEG")


large()  # made before any deadline runs


def test_a_large_picture_gives_the_crop_of_a_known_box(pool):
    async def story():
        box = (700.0, 300.0, 1900.0, 1700.0)
        crop, stored = await pool.for_gallery(trace(), large(), "left", box, DEFAULT_FRAMING)
        again = await pool.crop(trace(), large(), "left", box, DEFAULT_FRAMING)
        assert (crop == again).all(), "what is stored and what is searched with must be the same"
        assert stored.box is not None

    asyncio.run(story())


def test_many_pictures_of_one_caller_delay_another_caller_by_a_turn(pool):
    order = []

    async def story():
        gate, entered = threading.Event(), threading.Event()
        held = asyncio.ensure_future(pool.run(trace("many"), lambda: (entered.set(), gate.wait(20))))
        await asyncio.to_thread(entered.wait, 20)
        jobs = [asyncio.ensure_future(pool.run(trace("many"), lambda: order.append("many"))) for _ in range(20)]
        await asyncio.sleep(0)
        other = asyncio.ensure_future(pool.run(trace("other"), lambda: order.append("other")))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(held, other, *jobs)

    asyncio.run(story())
    assert order.index("other") <= 1


def test_pictures_that_wait_too_long_for_memory_are_refused_with_a_time_to_come_back(pool):
    async def story():
        async with pool._memory.hold("other", 64 << 20):
            with pytest.raises(Overloaded, match="memory for large pictures .64 MiB") as caught:
                await pool.crop(trace(seconds=0.5), large(), "left", None, DEFAULT_FRAMING)
        assert caught.value.retry_after_s >= 1
        await pool.crop(trace(), large(), "left", None, DEFAULT_FRAMING)

    asyncio.run(story())


def test_a_request_has_a_limit_of_pixels_over_its_pictures(pool):
    async def story():
        asked = trace()
        for _ in range(3):
            await pool.crop(asked, large(), "left", None, DEFAULT_FRAMING)
        with pytest.raises(BodyTooLarge, match="20,800,000 pixels or more; at most 20,000,000"):
            await pool.crop(asked, large(), "left", None, DEFAULT_FRAMING)
        await pool.crop(trace(), large(), "left", None, DEFAULT_FRAMING)

    asyncio.run(story())


def test_a_turn_that_comes_too_late_is_refused_and_its_job_never_run(pool):
    ran = []

    async def story():
        gate, entered = threading.Event(), threading.Event()
        held = asyncio.ensure_future(pool.run(trace(), lambda: (entered.set(), gate.wait(20))))
        await asyncio.to_thread(entered.wait, 20)
        with pytest.raises(DeadlineExceeded, match="before its turn"):
            await pool.run(trace(seconds=0.02), lambda: ran.append(1))
        gate.set()
        await held

    asyncio.run(story())
    assert ran == []


def test_a_photo_for_the_detector_keeps_only_its_bounded_copy(pool):
    async def story():
        async with pool.photo(trace(), large(), DEFAULT_FRAMING) as photo:
            assert (photo.width, photo.height) == (2600, 2000)
            assert pool._memory.held == photo.part.pixels.nbytes + photo.square.picture.nbytes
        assert pool._memory.held == 0

    asyncio.run(story())
