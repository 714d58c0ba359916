"""A batcher with two workers, as beside a GPU: a full batch is begun while another runs."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from serve.errors import NotReady
from serve.inference.batcher import Batcher, BatchLimits
from tests.serve.inference.test_batcher import Model, busy, value, waiting


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def overlapping(model):
    made = Batcher(model, "doubler", BatchLimits(max_batch=4, queue_size=50, stalled_after_s=5.0, workers=2))
    yield made
    model.gate.set()
    made.close(5.0)


async def batches(model, count):
    """Wait until `count` batches have begun."""
    async with asyncio.timeout(5):
        while len(model.batches) < count:
            await asyncio.sleep(0.001)


def test_beside_a_running_batch_a_second_worker_takes_a_full_one_and_no_smaller(model, overlapping):
    async def story():
        first = await busy(model, overlapping)
        tasks = await waiting(overlapping, [1, 2, 3])
        await asyncio.sleep(0.05)
        assert model.batches == [[0]]  # three would be fewer in a batch than they can become
        tasks += await waiting(overlapping, [4, 5])
        await batches(model, 2)
        assert model.batches == [[0], [1, 2, 3, 4]]
        assert overlapping.depth == 1
        model.gate.set()
        await asyncio.gather(first, *tasks)
        assert [value(task) for task in tasks] == [2, 4, 6, 8, 10]

    asyncio.run(story())
    assert model.batches == [[0], [1, 2, 3, 4], [5]]


def test_full_batches_that_come_at_once_are_all_under_way(model, overlapping):
    async def story():
        model.hold()
        task = asyncio.ensure_future(overlapping.submit(list(range(9))))
        await batches(model, 2)
        assert overlapping.depth == 1
        model.gate.set()
        assert [done.value for done in await task] == [2 * item for item in range(9)]

    asyncio.run(story())


def test_of_two_workers_the_one_that_is_killed_is_replaced(model, overlapping):
    def refuse(items):
        if 13 in items:
            raise SystemExit

    model.refuse = refuse

    async def story():
        for _ in range(3):
            with pytest.raises(NotReady, match="died"):
                await overlapping.submit([13])
        assert [done.value for done in await overlapping.submit(list(range(8)))] == list(range(0, 16, 2))

    asyncio.run(story())
    assert overlapping.is_alive
    assert overlapping.restarts == 3


def test_what_a_batch_waited_for_the_one_before_it_is_not_its_cost(model, overlapping, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("serve.inference.batcher.time", SimpleNamespace(monotonic=lambda: now[0]))
    costs = []
    monkeypatch.setattr(overlapping._size, "observe", lambda size, seconds: costs.append((size, seconds)))
    turns = [threading.Event(), threading.Event()]

    def refuse(items):
        assert turns[items[0] // 4].wait(20)

    model.refuse = refuse

    async def story():
        task = asyncio.ensure_future(overlapping.submit(list(range(8))))
        await batches(model, 2)
        for turn in turns:
            now[0] += 3.0
            turn.set()
            async with asyncio.timeout(5):
                while len(costs) <= turns.index(turn):
                    await asyncio.sleep(0.001)
        await task

    asyncio.run(story())
    assert costs == [(4, 3.0), (4, 3.0)]
