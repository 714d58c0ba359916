"""A limit that is given in turn: many requests of one caller delay another caller's one by a turn, nothing is lost."""

import asyncio
import time

import pytest

from serve.errors import DeadlineExceeded
from serve.inference.fair_limit import FairLimit


def test_callers_are_served_in_turn():
    order = []

    async def take(limit, caller):
        async with limit.hold(caller, 1):
            order.append(caller)
            await asyncio.sleep(0)

    async def story():
        limit = FairLimit(1, "threads")
        await asyncio.gather(*(take(limit, caller) for caller in ["a"] * 6 + ["b", "c"]))
        assert limit.held == limit.waiting == 0

    asyncio.run(story())
    assert set(order[1:4]) == {"a", "b", "c"}
    assert order[4:] == ["a"] * 4


def test_a_large_amount_is_not_overtaken_for_ever():
    order = []

    async def take(limit, caller, amount, seconds):
        async with limit.hold(caller, amount):
            order.append(amount)
            await asyncio.sleep(seconds)

    async def story():
        limit = FairLimit(10, "threads")
        first = asyncio.ensure_future(take(limit, "a", 6, 0.02))
        await asyncio.sleep(0)
        others = [take(limit, "b", 9, 0), *(take(limit, "c", 2, 0.01) for _ in range(5))]
        await asyncio.gather(first, *others)

    asyncio.run(story())
    assert order[:2] == [6, 9]


def test_more_than_there_is_counts_as_all_of_it_and_what_is_reduced_is_given_back():
    async def story():
        limit = FairLimit(10, "threads")
        async with limit.hold("a", 99) as held:
            assert limit.held == 10
            held.reduce(3)
            async with limit.hold("b", 7):
                assert limit.held == 10
        assert limit.held == 0

    asyncio.run(story())


def test_a_turn_that_does_not_come_in_time_is_refused_and_leaves_no_trace():
    async def story():
        limit = FairLimit(1, "threads")
        async with limit.hold("a", 1):
            with pytest.raises(DeadlineExceeded, match="1 wait for threads"):
                async with limit.hold("b", 1, time.monotonic() + 0.01):
                    raise AssertionError("never")
            assert limit.waiting == 0
        async with limit.hold("b", 1):
            assert limit.held == 1

    asyncio.run(story())


def test_those_who_leave_give_their_turn_to_others():
    async def story():
        limit = FairLimit(2, "threads")
        async with limit.hold("a", 1):
            large = asyncio.ensure_future(limit.hold("b", 2).__aenter__())
            await asyncio.sleep(0)
            small = asyncio.ensure_future(limit.hold("c", 1).__aenter__())
            await asyncio.sleep(0)
            assert not small.done()
            large.cancel()
            await asyncio.wait_for(small, 1)
            (await small).reduce(0)
        assert limit.held == limit.waiting == 0

    asyncio.run(story())


def test_a_turn_that_comes_as_its_caller_leaves_is_passed_on():
    async def story():
        limit = FairLimit(1, "threads")
        holder = limit.hold("a", 1)
        await holder.__aenter__()
        waiting = asyncio.ensure_future(limit.hold("b", 1).__aenter__())
        await asyncio.sleep(0)
        await holder.__aexit__(None, None, None)  # grants to b
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with limit.hold("c", 1):
            assert limit.held == 1

    asyncio.run(story())


def test_a_turn_that_comes_between_a_cancellation_and_its_task_goes_to_the_next():
    async def story():
        limit = FairLimit(1, "threads")
        holder = limit.hold("a", 1)
        await holder.__aenter__()
        leaving = asyncio.ensure_future(limit.hold("b", 1).__aenter__())
        waiting = asyncio.ensure_future(limit.hold("c", 1).__aenter__())
        await asyncio.sleep(0)
        leaving.cancel()
        await holder.__aexit__(None, None, None)  # before the cancelled task has run
        (await asyncio.wait_for(waiting, 1)).reduce(0)
        assert leaving.cancelled() or leaving.cancelling()
        await asyncio.sleep(0)
        assert limit.held == limit.waiting == 0

    asyncio.run(story())
