"""The batcher: batches without waiting, a bounded queue, failures that stay alone."""

import asyncio
import ctypes
import threading
import time

import pytest

from serve.errors import DeadlineExceeded, NotReady, Overloaded, RuntimeStalled
from serve.inference.batcher import Batcher, BatchLimits


class Model:
    """Doubles numbers; can be held at a gate, and refuses what it is told to."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches = []
        self.refuse = lambda items: None

    def __call__(self, items):
        self.batches.append(list(items))
        self.entered.set()
        assert self.gate.wait(20)
        self.refuse(items)
        return [2 * item for item in items]

    def hold(self):
        self.gate.clear()
        self.entered.clear()


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def batcher(model):
    made = Batcher(model, "doubler", BatchLimits(max_batch=8, queue_size=10, stalled_after_s=5.0))
    yield made
    model.gate.set()
    made.close(5.0)


async def busy(model, batcher):
    """Let one item occupy the worker; what comes next waits together."""
    model.hold()
    task = asyncio.ensure_future(batcher.submit([0]))
    await asyncio.to_thread(model.entered.wait, 5)
    return task


async def waiting(batcher, items, **options):
    tasks = [asyncio.ensure_future(batcher.submit([item], **options)) for item in items]
    await asyncio.sleep(0)
    return tasks


def value(task):
    return task.result()[0].value


def test_a_lone_item_is_run_at_once(model, batcher):
    (done,) = asyncio.run(batcher.submit([21]))
    assert (done.value, done.batch_size) == (42, 1)
    assert done.queue_ms >= 0
    assert done.compute_ms >= 0


def test_items_of_many_requests_share_a_batch(model, batcher):
    async def story():
        first = await busy(model, batcher)
        tasks = await waiting(batcher, range(1, 7))
        assert batcher.depth == 6
        model.gate.set()
        await asyncio.gather(first, *tasks)
        assert [value(task) for task in tasks] == [2, 4, 6, 8, 10, 12]

    asyncio.run(story())
    assert model.batches == [[0], [1, 2, 3, 4, 5, 6]]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(model, batcher):
    async def story():
        first = await busy(model, batcher)
        tasks = await waiting(batcher, range(10))
        with pytest.raises(Overloaded, match="10 pictures wait already") as refused:
            await batcher.submit([11])
        assert refused.value.retry_after_s >= 0
        with pytest.raises(Overloaded):
            batcher.check_room()
        model.gate.set()
        await asyncio.gather(first, *tasks)

    asyncio.run(story())


def test_items_of_one_request_are_admitted_together_or_not_at_all(model, batcher):
    async def story():
        first = await busy(model, batcher)
        tasks = await waiting(batcher, range(5))
        with pytest.raises(Overloaded):
            await batcher.submit(list(range(6)))
        assert batcher.depth == 5
        model.gate.set()
        await asyncio.gather(first, *tasks)

    asyncio.run(story())


def test_a_bad_item_fails_alone(model, batcher):
    def refuse(items):
        if 3 in items:
            raise ValueError("three is bad")

    model.refuse = refuse

    async def story():
        first = await busy(model, batcher)
        tasks = await waiting(batcher, range(1, 7))
        model.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await first
        told = [done[0].value if isinstance(done, list) else str(done) for done in results]
        assert told == [2, 4, "three is bad", 8, 10, 12]

    asyncio.run(story())


def test_a_batch_too_large_for_memory_is_halved_and_smaller_ones_follow(model, batcher):
    def refuse(items):
        if len(items) > 2:
            raise MemoryError(f"{len(items)} do not fit")

    model.refuse = refuse

    async def story():
        first = await busy(model, batcher)
        tasks = await waiting(batcher, range(8))
        model.gate.set()
        await asyncio.gather(first, *tasks)
        seen = len(model.batches)
        await batcher.submit(list(range(8)))
        return model.batches[seen:]

    later = asyncio.run(story())
    assert max(map(len, later)) <= 2


def test_an_item_whose_caller_left_is_never_run(model, batcher):
    async def story():
        first = await busy(model, batcher)
        tasks = await waiting(batcher, [1, 2, 3])
        tasks[1].cancel()
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(first, tasks[0], tasks[2])

    asyncio.run(story())
    assert model.batches == [[0], [1, 3]]


def test_an_item_past_its_deadline_is_refused_and_never_run(model, batcher):
    async def story():
        first = await busy(model, batcher)
        (late,) = await waiting(batcher, [1], deadline=time.monotonic() + 0.01)
        (patient,) = await waiting(batcher, [2])
        await asyncio.sleep(0.02)
        model.gate.set()
        await asyncio.gather(first, patient)
        with pytest.raises(DeadlineExceeded):
            await late

    asyncio.run(story())
    assert model.batches == [[0], [2]]


def test_a_stuck_model_is_noticed_and_new_items_are_refused_until_it_returns(model):
    batcher = Batcher(model, "doubler", BatchLimits(stalled_after_s=0.3))

    async def story():
        first = await busy(model, batcher)
        await asyncio.sleep(0.5)
        assert batcher.stalled_s > 0.3
        with pytest.raises(RuntimeStalled, match="doubler"):
            await batcher.submit([1])
        model.gate.set()
        await first
        while batcher.stalled_s:  # the worker is about to say that it is done
            await asyncio.sleep(0.01)
        assert (await batcher.submit([4]))[0].value == 8

    asyncio.run(story())
    batcher.close(5.0)


def test_a_killed_worker_fails_what_it_held_and_another_takes_over(model, batcher):
    def refuse(items):
        if 13 in items:
            raise SystemExit

    model.refuse = refuse

    async def story():
        with pytest.raises(NotReady, match="died"):
            await batcher.submit([13])
        assert (await batcher.submit([4]))[0].value == 8

    asyncio.run(story())
    assert batcher.is_alive
    assert batcher.restarts == 1


def test_a_worker_killed_from_outside_is_replaced(model, batcher):
    async def story():
        first = await busy(model, batcher)
        victim = batcher._workers[0].thread.ident
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(victim), ctypes.py_object(SystemExit))
        model.gate.set()
        with pytest.raises(NotReady):
            await first
        assert (await batcher.submit([4]))[0].value == 8

    asyncio.run(story())


def test_closing_drains_what_waits_and_refuses_what_comes(model, batcher):
    async def story():
        first = await busy(model, batcher)
        tasks = await waiting(batcher, [1, 2])
        closing = asyncio.ensure_future(asyncio.to_thread(batcher.close, 5.0))
        while not batcher._closing:
            await asyncio.sleep(0.001)
        with pytest.raises(NotReady, match="shutting down"):
            await batcher.submit([3])
        model.gate.set()
        await asyncio.gather(first, *tasks)
        await closing
        assert [value(task) for task in tasks] == [2, 4]

    asyncio.run(story())


def test_closing_gives_up_on_what_does_not_end_in_time(model, batcher):
    async def story():
        first = await busy(model, batcher)
        (task,) = await waiting(batcher, [1])
        await asyncio.to_thread(batcher.close, 0.01)
        with pytest.raises(NotReady):
            await task
        model.gate.set()
        await first

    asyncio.run(story())


def test_a_caller_with_many_items_leaves_others_their_turn(model):
    batcher = Batcher(model, "doubler", BatchLimits(max_batch=2, queue_size=50, stalled_after_s=5.0))

    async def story():
        first = await busy(model, batcher)
        many = await waiting(batcher, range(1, 9), turn="many")
        other = await waiting(batcher, [100, 101], turn="other")
        model.gate.set()
        await asyncio.gather(first, *many, *other)
        assert [value(task) for task in [*many, *other]] == [2, 4, 6, 8, 10, 12, 14, 16, 200, 202]

    try:
        asyncio.run(story())
    finally:
        batcher.close(5.0)
    assert 100 in model.batches[1] + model.batches[2]
    assert 101 in model.batches[2] + model.batches[3] + model.batches[4]
