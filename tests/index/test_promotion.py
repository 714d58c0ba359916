"""Spaces through a promotion: staged, filled, activated, rolled back, retired, and no vector in the wrong one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.errors import BadVector, PromotionRefused, SpaceMismatch
from index.gallery import Gallery
from index.items import Item, NewItem, Vectors
from index.opening import open_gallery
from index.store.space_rows import Pending
from tests.index.ears import DIM, OTHER_SPACE, SPACE, new_item, unit

OTHER_DIM = 24
ROTATION = np.linalg.qr(np.random.default_rng(5).normal(size=(DIM, DIM)))[0][:, :OTHER_DIM]


def again(vector: np.ndarray) -> Vectors:
    """What another encoder says about the same ear: similar orders of neighbours, another width."""
    turned = (np.asarray(vector, np.float64) @ ROTATION).astype(np.float32)
    return Vectors(turned * 2, unit(turned))


def dual(n: int) -> NewItem:
    return replace(new_item(n), also={OTHER_SPACE: again(new_item(n).embedding)})


def fill_all(gallery: Gallery, batch: int = 7) -> int:
    """Re-embed what the staged space lacks, as the service does; the crop names the ear."""
    stored, after = 0, 0
    while pending := gallery.spaces.pending(OTHER_SPACE, after, batch):
        after = pending[-1].key
        stored += gallery.spaces.fill(OTHER_SPACE, [(one, re_embed(one)) for one in pending])
    return stored


def re_embed(pending: Pending) -> Vectors:
    return again(new_item(int(pending.crop.split()[-1])).embedding)


@pytest.fixture
def staged(gallery: Gallery) -> list[Item]:
    """Thirty items in a gallery whose second space is staged and empty."""
    items = gallery.enrol([new_item(n) for n in range(30)])
    gallery.spaces.stage(OTHER_SPACE, OTHER_DIM)
    return items


def states(gallery: Gallery) -> dict[str, tuple[str, int, int]]:
    return {s.space.space_id: (s.space.state, s.items, s.lacking) for s in gallery.spaces.status()}


def test_staged_space_is_filled_and_takes_over_in_one_step(gallery: Gallery, staged: list[Item]):
    assert states(gallery) == {SPACE: ("active", 30, 0), OTHER_SPACE: ("staged", 0, 30)}
    assert fill_all(gallery) == 30
    gallery.spaces.activate(OTHER_SPACE)
    assert states(gallery) == {SPACE: ("retained", 30, 0), OTHER_SPACE: ("active", 30, 0)}
    assert gallery.space_id == OTHER_SPACE
    hit = gallery.search(again(new_item(4).embedding).embedding)[0][0]
    assert hit.item == staged[4]
    assert gallery.search(new_item(4).embedding, space_id=SPACE)[0][0].item == staged[4]


def test_unfilled_space_is_not_activated_unless_allowed(gallery: Gallery, staged: list[Item]):
    with pytest.raises(PromotionRefused, match="30 items"):
        gallery.spaces.activate(OTHER_SPACE)
    assert gallery.space_id == SPACE
    gallery.spaces.activate(OTHER_SPACE, missing_allowed=30)
    assert gallery.search(np.ones(OTHER_DIM)) == [[]]


def test_items_enrolled_meanwhile_are_in_both_spaces(gallery: Gallery, staged: list[Item]):
    (late,) = gallery.enrol([dual(40)])
    assert states(gallery)[OTHER_SPACE] == ("staged", 1, 30)
    assert gallery.search(again(new_item(40).embedding).embedding, space_id=OTHER_SPACE)[0][0].item == late
    (alone,) = gallery.enrol([new_item(41)])
    assert fill_all(gallery) == 31
    assert gallery.spaces.pending(OTHER_SPACE) == []
    assert alone in [hit.item for hit in gallery.search(np.ones(OTHER_DIM), 100, space_id=OTHER_SPACE)[0]]


def test_vectors_of_the_old_model_are_refused_once_it_was_replaced(gallery: Gallery, staged: list[Item]):
    fill_all(gallery)
    gallery.spaces.activate(OTHER_SPACE)
    with pytest.raises(SpaceMismatch) as caught:
        gallery.enrol([new_item(50)], space_id=SPACE)
    assert (caught.value.expected, caught.value.given) == (OTHER_SPACE, SPACE)
    gallery.enrol([dual(50)], space_id=SPACE)
    with pytest.raises(BadVector):
        gallery.enrol([new_item(51)])
    assert states(gallery) == {SPACE: ("retained", 31, 0), OTHER_SPACE: ("active", 31, 0)}


def test_rollback_loses_nothing_that_came_after(gallery: Gallery, staged: list[Item]):
    fill_all(gallery)
    gallery.spaces.activate(OTHER_SPACE)
    (late,) = gallery.enrol([dual(60)], space_id=SPACE)
    gallery.delete(staged[3].id)
    assert gallery.spaces.rollback() == SPACE
    found = [hit.item for hit in gallery.search(new_item(60).embedding, 100)[0]]
    assert found[0] == late
    assert staged[3] not in found
    assert states(gallery)[OTHER_SPACE] == ("retained", 30, 0)


def test_rollback_refuses_to_hide_items(gallery: Gallery, staged: list[Item]):
    fill_all(gallery)
    gallery.spaces.activate(OTHER_SPACE)
    pair = again(new_item(61).embedding)
    gallery.enrol([NewItem(b"picture 61", pair.mu, pair.embedding)])
    with pytest.raises(PromotionRefused, match="1 items"):
        gallery.spaces.rollback()
    assert gallery.space_id == OTHER_SPACE


def test_nothing_to_roll_back_to_is_said(gallery: Gallery):
    with pytest.raises(PromotionRefused, match="nothing to go back to"):
        gallery.spaces.rollback()


def test_retired_space_is_gone_with_its_vectors(gallery: Gallery, staged: list[Item], folder: Path):
    fill_all(gallery)
    gallery.save()
    gallery.spaces.activate(OTHER_SPACE)
    with pytest.raises(PromotionRefused, match="is active"):
        gallery.spaces.retire(OTHER_SPACE)
    gallery.spaces.retire(SPACE)
    assert list(states(gallery)) == [OTHER_SPACE]
    assert not (folder / "neighbours" / SPACE).exists()
    with pytest.raises(SpaceMismatch):
        gallery.search(new_item(1).embedding, space_id=SPACE)
    with pytest.raises(SpaceMismatch):
        gallery.spaces.retire(SPACE)


def test_promotion_survives_restarts_at_every_step(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(20)])
        gallery.spaces.stage(OTHER_SPACE, OTHER_DIM)
        gallery.spaces.fill(OTHER_SPACE, [(p, re_embed(p)) for p in gallery.spaces.pending(OTHER_SPACE, limit=8)])
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert states(gallery)[OTHER_SPACE] == ("staged", 8, 12)
        assert fill_all(gallery) == 12
        gallery.spaces.activate(OTHER_SPACE)
    with pytest.raises(SpaceMismatch):
        open_gallery(folder, DIM, SPACE)
    with open_gallery(folder, OTHER_DIM, OTHER_SPACE) as gallery:
        assert len(gallery.search(np.ones(DIM), 100, space_id=SPACE)[0]) == 20
        gallery.spaces.rollback()
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert gallery.spaces.rollback() == OTHER_SPACE


def test_interrupted_retirement_is_finished_at_the_next_start(folder: Path):
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol([new_item(n) for n in range(3)])
        gallery.spaces.stage(OTHER_SPACE, OTHER_DIM)
        fill_all(gallery)
        with gallery._truth.write() as connection:
            connection.exec_driver_sql(f"UPDATE spaces SET state = 'retiring' WHERE space_id = '{OTHER_SPACE}'")
    with open_gallery(folder, DIM, SPACE) as gallery:
        assert list(states(gallery)) == [SPACE]
        with gallery._truth.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM vectors").scalar() == 3


def test_item_deleted_or_mirrored_while_it_was_embedded_is_passed_over(gallery: Gallery, staged: list[Item]):
    pending = gallery.spaces.pending(OTHER_SPACE)
    gallery.delete(staged[0].id)
    gallery.patch(staged[1].id, side="right", vectors={SPACE: Vectors(new_item(9).mu, new_item(9).embedding)})
    assert gallery.spaces.fill(OTHER_SPACE, [(one, re_embed(one)) for one in pending]) == 28
    assert gallery.spaces.fill(OTHER_SPACE, [(one, re_embed(one)) for one in pending]) == 0
    assert [one.item.id for one in gallery.spaces.pending(OTHER_SPACE)] == [staged[1].id]


def test_staging_twice_is_staging_once(gallery: Gallery, staged: list[Item]):
    assert gallery.spaces.stage(OTHER_SPACE, OTHER_DIM).state == "staged"
    with pytest.raises(BadVector, match="24"):
        gallery.spaces.stage(OTHER_SPACE, OTHER_DIM + 1)
    assert gallery.spaces.stage(SPACE, DIM).state == "active"


def test_unknown_space_is_refused_everywhere(gallery: Gallery):
    for question in (gallery.spaces.pending, gallery.spaces.activate, gallery.spaces.retire):
        with pytest.raises(SpaceMismatch):
            question("sp_unknown")
    with pytest.raises(SpaceMismatch):
        gallery.spaces.fill("sp_unknown", [])


def test_comparison_tells_how_far_two_spaces_agree(gallery: Gallery, staged: list[Item]):
    assert gallery.spaces.compare(SPACE, OTHER_SPACE).sample == 0
    fill_all(gallery)
    same = gallery.spaces.compare(SPACE, SPACE)
    assert same.overlap == {1: 1.0, 5: 1.0, 10: 1.0}
    other = gallery.spaces.compare(SPACE, OTHER_SPACE, sample=20)
    assert other.sample == 20
    assert 0.3 < other.overlap[10] < 1.0
    shares = [share for _, share in other.worst_subjects]
    assert shares == sorted(shares)
    assert {subject for subject, _ in other.worst_subjects} <= {f"s{n}" for n in range(10)}
    paired = gallery.spaces.paired(SPACE, OTHER_SPACE, sample=10)
    assert (paired.a.shape, paired.b.shape, len(paired.items)) == ((10, DIM), (10, OTHER_DIM), 10)
    np.testing.assert_allclose(paired.b, unit(paired.a @ ROTATION.astype(np.float32)), atol=1e-5)
