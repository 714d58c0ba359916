"""Calibrating a gallery on its own labelled ears: which pairs count, what a rate stands on, where it is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ear_teacher
from index import calibration
from index.calibration import labelled_pairs
from index.errors import CalibrationRefused, SpaceMismatch
from index.gallery import Gallery
from index.items import NewItem, Side
from index.opening import open_gallery
from index.tools import archive, archive_restore
from index.vectors import centred
from measure.calibration import Calibration
from tests.index.ears import DIM, OTHER_SPACE, SPACE, embedding, new_item, unit

PEOPLE, PICTURES = 24, 3


def ears(people: int = PEOPLE, shared: float = 0.0) -> list[NewItem]:
    """Some pictures of both ears of some people; `shared` is what the camera adds to every vector."""
    sides: Sequence[Side] = ("left", "right")
    camera = shared * np.ones(DIM)
    return [
        replace(new_item(1), crop=f"{n}".encode(), embedding=unit(vector + camera), subject=f"p{person}", side=side)
        for n, (person, side, vector) in enumerate(
            (person, side, embedding(100 + 2 * person + (side == "right"), 1000 * person + picture))
            for person in range(people)
            for side in sides
            for picture in range(PICTURES)
        )
    ]


@pytest.fixture
def labelled(gallery: Gallery) -> Gallery:
    gallery.enrol(ears())
    return gallery


def pairs_of(gallery: Gallery) -> calibration.LabelledPairs:
    with gallery._truth.read() as connection:
        return labelled_pairs(connection, SPACE, DIM)


def test_every_pair_of_one_ear_and_of_different_people_counts_once(labelled: Gallery):
    pairs = pairs_of(labelled)
    assert len(pairs.genuine) == PEOPLE * 2 * 3  # three pairs among three pictures of each ear
    assert len(pairs.impostor) == 2 * 9 * (PEOPLE * (PEOPLE - 1) // 2)
    assert (pairs.subjects, pairs.ears) == (PEOPLE, PEOPLE * 2 * PICTURES)
    assert np.median(pairs.genuine) > 0.8 > 0.5 > np.median(pairs.impostor)


def test_what_says_nothing_is_left_out_and_told(labelled: Gallery):
    before = pairs_of(labelled)
    copies = [replace(item, sha256=item.content) for item in ears()[:5]]
    labelled.enrol([*(replace(new_item(n), subject=None, side="left") for n in range(3)), new_item(5, side=None)])
    after = pairs_of(labelled)
    assert (after.without_subject, after.without_side) == (3, 1)
    assert (len(after.genuine), len(after.impostor)) == (len(before.genuine), len(before.impostor))
    labelled.enrol(copies)  # the same pictures again: each is compared with the others, none with its copy
    assert pairs_of(labelled).genuine.max() == pytest.approx(before.genuine.max())


def test_one_subject_with_many_pictures_does_not_decide_for_all(labelled: Gallery, monkeypatch: pytest.MonkeyPatch):
    model = [replace(new_item(n), crop=f"x{n}".encode(), subject="model", side="left") for n in range(0, 400, 10)]
    labelled.enrol(model)
    assert len(pairs_of(labelled).genuine) == PEOPLE * 2 * 3 + 20 * 19 // 2
    monkeypatch.setattr(calibration, "MOST_EARS", 30)
    assert pairs_of(labelled).ears <= 30


def test_a_calibration_judges_stays_with_its_space_and_says_what_stands_behind_each_rate(labelled: Gallery):
    assert labelled.calibration() is None
    document = labelled.calibrate()
    stored = labelled.calibration()
    assert stored is not None
    assert (stored.document, stored.sequence) == (json.loads(json.dumps(document)), labelled.sequence)
    assert document["calibrated_on"]["subjects"] == PEOPLE
    fit = Calibration.from_dict(document["calibration"])
    assert fit.probability(0.9) > 0.9
    pairs = pairs_of(labelled)
    assert [point.far for point in fit.points] == [0.1, 0.01, 0.001]  # 4,968 pairs tell nothing of one in ten thousand
    for point in fit.points:
        assert point.false_accepts == int((pairs.impostor >= point.threshold).sum())
        assert point.false_accepts <= point.far * len(pairs.impostor)
    labelled.spaces.stage(OTHER_SPACE, DIM)
    for pending in labelled.spaces.pending(OTHER_SPACE, limit=1000):
        vectors = labelled.vectors(pending.item.id)
        assert vectors is not None
        labelled.spaces.fill(OTHER_SPACE, [(pending, vectors)])
    assert labelled.calibration(OTHER_SPACE) is None
    labelled.calibrate(OTHER_SPACE)
    labelled.spaces.activate(OTHER_SPACE)
    assert labelled.calibration() == labelled.calibration(OTHER_SPACE)
    assert labelled.calibration(SPACE) == stored
    labelled.spaces.rollback()
    assert labelled.calibration() == stored
    labelled.spaces.retire(OTHER_SPACE)
    with pytest.raises(SpaceMismatch):
        labelled.calibration(OTHER_SPACE)
    labelled.set_calibration(SPACE, None)
    assert labelled.calibration() is None


def test_too_few_people_are_refused_with_what_is_lacking(gallery: Gallery):
    gallery.enrol([*ears(19), new_item(1, "p1"), new_item(2, None)])
    with pytest.raises(CalibrationRefused, match=r"^19 subjects .* at least 20 .*1 ears have no subject, 1 "):
        gallery.calibrate()
    assert gallery.calibration() is None


def test_the_mean_is_kept_until_it_is_asked_for_anew(gallery: Gallery):
    assert (gallery.mean().items, gallery.mean().mean.tolist()) == (0, [0.0] * DIM)
    gallery.enrol(ears())
    assert gallery.mean().items == 0
    mean = gallery.mean(refresh=True)
    assert (mean.items, mean.sequence) == (PEOPLE * 2 * PICTURES, gallery.sequence)
    expected = np.mean([item.embedding for item in ears()], axis=0)
    np.testing.assert_allclose(mean.mean, expected, atol=1e-6)
    gallery.enrol([new_item(1)])
    assert gallery.mean().sequence < gallery.sequence


def test_centring_takes_away_what_every_picture_shares(gallery: Gallery):
    gallery.enrol(ears(shared=2.0))
    plain, better = gallery.calibrate(), gallery.calibrate(centred=True)
    assert (plain["centred"], better["centred"]) == (False, True)
    thresholds = [document["calibration"]["points"][1]["threshold"] for document in (plain, better)]
    assert thresholds[0] > 0.9 > thresholds[1] + 0.1  # what all share makes different people alike
    mean = gallery.mean().mean
    vectors = unit(np.random.default_rng(0).normal(size=(4, DIM)))
    np.testing.assert_allclose(centred(vectors, mean), unit(vectors - mean), atol=1e-6)


def test_the_verb_says_how_many_pairs_stand_behind_each_rate(folder: Path, capsys: pytest.CaptureFixture[str]):
    with open_gallery(folder, DIM, SPACE) as gallery:
        gallery.enrol(ears())
    assert ear_teacher.main(["gallery", "calibrate", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "144 pairs of one ear and 4,968 of different people, from 144 ears of 24 people" in said
    assert "pairs of different people lie above it" in said
    assert ear_teacher.main(["gallery", "calibrate", str(folder), "--centred", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    with open_gallery(folder, DIM, SPACE) as gallery:
        stored = gallery.calibration()
        assert stored is not None
        assert stored.document == document


def test_an_archive_carries_it(labelled: Gallery, tmp_path: Path):
    document = labelled.calibrate()
    archive.export(labelled._truth, tmp_path / "archive")
    archive_restore.restore(tmp_path / "archive", tmp_path / "again")
    with open_gallery(tmp_path / "again", DIM, SPACE) as again:
        stored = again.calibration()
        assert stored is not None
        assert stored.document == document
        assert again.mean().items == labelled.count()
