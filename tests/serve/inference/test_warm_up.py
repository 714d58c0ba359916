"""What batch sizes cost, measured before any traffic on a clock that only the model moves."""

import pytest

from serve.inference.batcher import Batcher, BatchLimits


class Timed:
    """A model whose runs take `cost(size)` seconds on a clock of its own, and twice that the first time."""

    def __init__(self, cost):
        self.cost, self.now, self.sizes = cost, 0.0, []

    def __call__(self, items):
        self.now += self.cost(len(items)) * (1 if len(items) in self.sizes else 2)
        self.sizes.append(len(items))
        return items

    def clock(self):
        return self.now


@pytest.fixture
def warmed():
    made = []

    def start(model, limits, **options):
        made.append(Batcher(model, "timed", limits))
        made[-1].warm_up("example", 1.0, clock=model.clock, **options)
        return made[-1]

    yield start
    for batcher in made:
        batcher.close()


def test_the_latency_limit_takes_the_largest_batch_that_keeps_it(warmed, caplog):
    model = Timed(lambda size: 0.010 * size)
    batcher = warmed(model, BatchLimits(max_batch=32, longest_s=0.1))
    assert batcher._size.largest == 8
    assert model.sizes == [1, 1, 2, 2, 4, 4, 8, 8, 16, 16]  # the second run of each counts, and no larger one is tried
    assert "the timed runs at most 8 at once: 16 took 160 ms" in caplog.text
    assert batcher._size.expected_s(8) == pytest.approx(0.08)


def test_one_at_a_time_runs_whatever_it_takes(warmed):
    batcher = warmed(Timed(lambda size: 9.0 * size), BatchLimits(longest_s=0.1))
    assert batcher._size.largest == 1


def test_without_a_limit_a_warm_up_runs_each_size_once_within_its_budget(warmed):
    model = Timed(lambda size: 0.1 * size)
    batcher = warmed(model, BatchLimits(max_batch=16))
    assert model.sizes == [1, 2, 4]
    assert batcher._size.largest == 16


def test_what_sizes_cost_is_known_before_the_first_request_where_it_is_measured(warmed):
    batcher = warmed(Timed(lambda size: 0.001 * (10 + size)), BatchLimits(max_batch=4), measure=True)
    assert [batcher._size.expected_s(size) for size in (1, 2, 4)] == pytest.approx([0.011, 0.012, 0.014])


def test_a_size_that_the_memory_does_not_hold_is_left_out_at_the_start(warmed, caplog):
    model = Timed(lambda size: 0.001)

    def run(items):
        if len(items) > 4:
            raise RuntimeError("the GPU's memory is full")
        return model(items)

    run.clock = model.clock
    batcher = warmed(run, BatchLimits(max_batch=16), measure=True)
    assert batcher._size.largest == 4
    assert "at most 4 at once: the GPU's memory is full" in caplog.text
