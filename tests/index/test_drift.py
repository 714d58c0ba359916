"""What came in lately is compared with what was there: nothing new, new kinds of ears, a shift that all share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from index.command_gallery import main
from index.drift import DriftReport
from index.gallery import Gallery
from index.items import NewItem
from tests.index.ears import DIM, OTHER_SPACE, unit

EARLIER, RECENT = 300, 100


def ears(seed: int, count: int, directions: slice, shift: float = 0.0) -> list[NewItem]:
    """Two ears of each subject, spread over some of the directions there are."""
    random = np.random.default_rng(seed)
    centres = np.zeros((count // 2, DIM), dtype=np.float32)
    centres[:, directions] = random.normal(size=centres[:, directions].shape)
    vectors = np.repeat(centres, 2, axis=0) + 0.2 * random.normal(size=(count, DIM))
    vectors[:, 0] += shift
    return [NewItem(b"crop", one, one, subject=f"{seed}-{n // 2}") for n, one in enumerate(unit(vectors))]


def drift_of(gallery: Gallery, recent: list[NewItem]) -> DriftReport:
    gallery.enrol(ears(1, EARLIER, slice(0, 16)))
    gallery.enrol(recent)
    report, sample = gallery.drift(RECENT)
    assert len(sample.recent) == len(sample.earlier) == RECENT
    assert {item.subject for item in sample.recent} == {item.subject for item in recent}
    return report


def test_more_of_the_same_is_no_drift(gallery: Gallery):
    report = drift_of(gallery, ears(2, RECENT, slice(0, 16)))
    assert report.far_share is not None
    assert report.far_share <= 0.15
    assert report.advice == ()
    assert report.nearest_recent == pytest.approx(report.nearest_earlier, abs=0.05)


def test_ears_of_a_new_kind_ask_for_a_retrain(gallery: Gallery):
    report = drift_of(gallery, ears(2, RECENT, slice(16, 32)))
    assert report.far_share is not None
    assert report.far_share > 0.9
    assert "Retrain with them" in report.advice[0]


def test_a_shift_that_all_share_is_named(gallery: Gallery):
    report = drift_of(gallery, ears(2, RECENT, slice(0, 16), shift=3.0))
    assert report.moved is not None
    assert report.moved > 0.3
    assert any("camera, light" in words for words in report.advice)


def test_a_persons_own_pictures_do_not_make_them_known(gallery: Gallery):
    """Each recent ear has a twin of its own subject among the earlier ones: it is not what it is compared with."""
    gallery.enrol(ears(1, EARLIER, slice(0, 16)))
    strangers = ears(2, RECENT, slice(16, 32))
    gallery.enrol([NewItem(b"twin", one.mu, one.embedding, subject=one.subject) for one in strangers[:40]])
    gallery.enrol(ears(1, EARLIER, slice(0, 16)))
    gallery.enrol(strangers[:40])
    report, _ = gallery.drift(40)
    assert report.nearest_recent is not None
    assert report.nearest_recent < 0.9


def test_few_ears_say_nothing(gallery: Gallery):
    gallery.enrol(ears(1, 40, slice(0, 16)))
    report, sample = gallery.drift(20)
    assert report.far_share is None
    assert "Too few" in report.advice[0]
    assert sample.recent == ()


def test_the_verb_tells_it_beside_the_owner(gallery: Gallery, folder: Path, capsys: pytest.CaptureFixture[str]):
    drift_of(gallery, ears(2, RECENT, slice(16, 32)))
    assert main(["drift", str(folder), "--recent", "100"]) == 0
    told = capsys.readouterr().out
    assert "100 ears since" in told
    assert "Retrain with them" in told
    assert main(["drift", str(folder), "--recent", "100", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recent"] == 100


def test_another_space_is_named_or_refused(gallery: Gallery):
    gallery.spaces.stage(OTHER_SPACE, DIM)
    assert gallery.drift(20, OTHER_SPACE)[0].items == 0
