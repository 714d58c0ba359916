"""`ear-teacher embedding fit` as a user types it: learned on own people, judged and calibrated on others."""

from argparse import Namespace
from pathlib import Path

import pytest

import ear_teacher
from bundle.manifest import read_manifest
from export.command_embedding import _record
from export.crops import load_crops
from tests.training.few_ears import few_ears
from training.checkpoint import read_trained_on
from training.data.records import declared

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture(scope="module")
def own_people(tmp_path_factory):
    """Four pictures of each of twelve people whom the shipped model has not seen, in a table without splits."""
    return few_ears(tmp_path_factory.mktemp("own"), {"val": 12}, pictures=4, splits=False).parent


def test_people_are_held_out_for_figures_and_calibration_and_the_record_is_extended(own_people, tmp_path, monkeypatch):
    attached = {}

    def attach(bundle, out, branch, facts, crops, photographs, force, record):
        """Exporting the branch takes a minute; tests/export/test_embedding.py does it."""
        attached.update(facts=facts, crops=crops, record=record)
        return read_manifest(bundle)

    monkeypatch.setattr("export.embedding.attach_branch", attach)
    command = ["embedding", "fit", str(DEMO / "bundle"), "--data", str(own_people), "--out", str(tmp_path / "new")]
    assert ear_teacher.main(command) == 0
    assert (attached["facts"]["adapted_pictures"], attached["facts"]["adapted_people"]) == (28, 7)
    assert attached["crops"].held_out
    assert attached["crops"].exposure.startswith("None of the 5 people were trained on")
    shipped, record = read_trained_on(DEMO / "bundle"), attached["record"]
    assert not record.incomplete
    assert len(record.train.people) == len(shipped.train.people) + 7
    judged = load_crops(own_people, read_manifest(DEMO / "bundle").framing, 100, trained_on=record)
    assert judged.exposure == "7 of 12 people were trained on and are left out: the figures are of the other 5."


def test_judging_on_the_people_that_are_learned_from_is_refused(own_people, tmp_path, capsys):
    command = ["embedding", "fit", str(DEMO / "bundle"), "--data", str(own_people), "--crops", str(own_people)]
    assert ear_teacher.main([*command, "--out", str(tmp_path / "new")]) == 2
    assert "12 subjects are in training and in validation" in capsys.readouterr().err


def test_branch_file_that_says_nothing_leaves_the_record_incomplete_unless_sources_are_declared():
    options = Namespace(bundle=DEMO / "bundle", trained_on=None)
    assert _record(options, None).incomplete
    options.trained_on = [DEMO / "ears"]
    assert not _record(options, None).incomplete


def test_declared_sources_are_train_and_validation_rows():
    record = declared([DEMO / "ears"])
    assert (len(record.train.people), len(record.val.people)) == (168, 40)
