"""The order of an epoch, on one device and on several."""

import numpy as np
import pytest

from training.data.order import Key, TrainOrder, ValOrder, identities, identity_order


def test_order_is_a_permutation_that_depends_on_seed_and_epoch_alone():
    labels = np.repeat(np.arange(10), 7)
    first = identity_order(labels, 4, seed=3, epoch=5)
    assert sorted(first) == list(range(70))
    np.testing.assert_array_equal(first, identity_order(labels, 4, seed=3, epoch=5))
    assert (first != identity_order(labels, 4, seed=3, epoch=6)).any()
    assert (first != identity_order(labels, 4, seed=4, epoch=5)).any()


def test_pictures_of_one_identity_follow_each_other():
    labels = np.repeat(np.arange(12), 8)
    groups = labels[identity_order(labels, 4, seed=0, epoch=0)].reshape(-1, 4)
    assert (groups == groups[:, :1]).all()


def test_order_of_ones_shuffles_freely():
    labels = np.repeat(np.arange(12), 8)
    pairs = labels[identity_order(labels, 1, seed=0, epoch=0)].reshape(-1, 2)
    assert (pairs[:, 0] != pairs[:, 1]).mean() > 0.7


def test_devices_share_each_step_between_them():
    labels = np.arange(40)
    alone = list(TrainOrder(labels, batch_size=8, per_identity=1, seed=0))
    halves = [list(TrainOrder(labels, 4, 1, 0, rank, world=2)) for rank in (0, 1)]
    assert len(alone) == 40
    for step in range(5):
        both = [*halves[0][4 * step : 4 * step + 4], *halves[1][4 * step : 4 * step + 4]]
        assert both == alone[8 * step : 8 * step + 8]


def test_keys_carry_the_epoch():
    order = TrainOrder(np.arange(4), 2, 1, 0)
    order.set_epoch(7)
    assert {key.epoch for key in order} == {7}
    assert len(order) == 4


def test_set_smaller_than_a_step_is_repeated():
    assert len(list(TrainOrder(np.arange(3), 8, 1, 0))) == 8


@pytest.mark.parametrize(("count", "world"), [(7, 2), (8, 2), (3, 4)])
def test_validation_covers_every_picture_with_equal_shares(count, world):
    shares = [list(ValOrder(count, rank, world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert {key.item for share in shares for key in share} == set(range(count))
    assert Key(0, 0) in shares[0]


def test_identities_are_subject_and_side_and_unknown_ones_their_own():
    labels = identities(["ann", "ann", "ann", None, None], ["left", "right", "left", "left", "left"])
    assert labels[0] == labels[2]
    assert len(set(labels.tolist())) == 4
