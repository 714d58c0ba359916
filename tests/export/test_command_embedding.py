"""`ear-teacher embedding fit` as a user types it: learned on own people, judged and calibrated on others."""

import csv
from pathlib import Path

import pytest

import ear_teacher
from bundle.manifest import read_manifest, verify_files
from export.crops import load_crops
from training.checkpoint import read_trained_on
from training.data.records import declared

DEMO = Path(__file__).parents[2] / "demo"
BRANCH = ["--branch", str(DEMO / "embedding.pt")]


@pytest.fixture(scope="module")
def own_people(tmp_path_factory):
    """Four pictures of each of twelve people whom the shipped model has not seen, in a table without splits."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "crops").symlink_to(DEMO / "ears" / "crops")
    with (DEMO / "ears" / "metadata.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row.pop("split") == "val"]
    people = list(dict.fromkeys(row["subject"] for row in rows))[:12]
    with (folder / "metadata.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        for person in people:
            table.writerows([row for row in rows if row["subject"] == person][:4])
    return folder


@pytest.fixture(scope="module")
def adapted(own_people, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "adapted"
    trained_on = ["--trained-on", str(DEMO / "ears" / "metadata.csv")]
    command = ["embedding", "fit", str(DEMO / "bundle"), *BRANCH, "--data", str(own_people), "--out", str(out)]
    assert ear_teacher.main([*command, *trained_on]) == 0
    return out


def test_people_are_held_out_for_figures_and_calibration(adapted):
    manifest = read_manifest(adapted)
    verify_files(adapted, manifest)
    assert manifest.training["embedding"]["head_pictures"] == 28
    assert manifest.training["calibrated_on"]["trained_on"].startswith("None of the 5 people were trained on")
    assert manifest.calibration is not None


def test_the_record_is_that_of_the_bundle_and_of_the_people_learned_from(adapted, own_people):
    shipped, record = read_trained_on(DEMO / "bundle"), read_trained_on(adapted)
    assert not record.incomplete
    assert len(record.train.people) == len(shipped.train.people) + 7
    judged = load_crops(own_people, read_manifest(adapted).framing, 100, trained_on=record)
    assert judged.exposure == "7 of 12 people were trained on and are left out: the figures are of the other 5."


def test_judging_on_the_people_that_are_learned_from_is_refused(own_people, tmp_path, capsys):
    command = ["embedding", "fit", str(DEMO / "bundle"), *BRANCH, "--data", str(own_people), "--crops", str(own_people)]
    assert ear_teacher.main([*command, "--out", str(tmp_path / "new")]) == 2
    assert "12 subjects are in training and in validation" in capsys.readouterr().err


def test_declared_sources_are_train_and_validation_rows():
    record = declared([DEMO / "ears"])
    assert (len(record.train.people), len(record.val.people)) == (168, 40)
