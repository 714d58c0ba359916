"""The batch size follows what sizes have cost."""

from serve.inference.batch_size import EXPLORE_EVERY, BatchSize


def taught(max_batch, cost, buckets=None):
    size = BatchSize(max_batch, buckets)
    for _ in range(20):
        for bucket in size.buckets:
            size.observe(bucket, cost(bucket))
    return size


def test_everything_that_waits_is_taken_before_anything_is_known():
    assert BatchSize(16).choose(5) == 5
    assert BatchSize(16).choose(50) == 16


def test_larger_batches_are_taken_where_they_are_cheaper_per_item():
    assert taught(16, lambda n: 10 + n).choose(16) == 16


def test_smaller_batches_are_taken_where_large_ones_cost_more_per_item():
    assert taught(16, lambda n: n * n).choose(16) == 1


def test_an_engine_that_pads_is_given_full_buckets():
    size = taught(32, lambda bucket: float(bucket), buckets=(1, 8, 32))
    assert size.choose(9) == 8


def test_a_batch_that_would_end_too_late_is_made_smaller():
    size = taught(16, lambda n: 0.1 * n)
    assert size.choose(16, slack_s=0.45) == 4
    assert size.choose(16, slack_s=0.0) == 1


def test_what_did_not_fit_is_not_tried_again_for_a_while_and_then_is():
    size = taught(16, lambda n: 10 + n)
    size.shrink(16)
    assert size.choose(16) == 8
    assert 16 in [size.choose(16) for _ in range(EXPLORE_EVERY)]


def test_a_size_that_was_slow_once_is_tried_again():
    size = taught(8, lambda n: 1000.0 if n == 8 else n)
    assert size.choose(8) == 4
    assert 8 in [size.choose(8) for _ in range(EXPLORE_EVERY)]


def test_the_expected_time_is_linear_between_what_was_measured():
    size = BatchSize(16)
    size.observe(4, 0.4)
    assert abs(size.expected_s(3) - 0.3) < 1e-9
    assert abs(size.expected_s(16) - 1.6) < 1e-9


def test_what_took_too_long_at_the_start_is_never_tried_again():
    size = taught(16, lambda n: 10 + n)
    size.stop_before(8)
    assert size.largest == 4
    assert {size.choose(16) for _ in range(2 * EXPLORE_EVERY)} == {4}
    size.stop_before(1)
    assert size.largest == 1
