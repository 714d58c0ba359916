"""The papers of a bundle: what is known is told, what is not is said to be unknown."""

import pytest

from bundle.manifest import read_manifest
from export.model_card import UNKNOWN, data_sheet, model_card

FACTS = {
    "pictures": 40,
    "subjects": 4,
    "pictures_per_subject": {"least": 8, "median": 10.0, "most": 12},
    "sides": {"left": 30, "right": 10},
    "with_box": 40,
    "with_landmarks": 0,
    "groups": {"skin": {"I": 10, "VI": 30}},
}
SLICE = {"attribute": "skin", "value": "VI", "of": "query", "subjects": 3, "queries": 30, "rank1": 0.5, "eer": 0.25}


@pytest.fixture
def told(exported):
    """A manifest whose checkpoint was evaluated and knows its data."""
    manifest = read_manifest(exported)
    training = manifest.training | {
        "slices": [SLICE],
        "judged_on": {"pictures": 40, "subjects": 4, "protocol": "each picture asks the others"},
        "provenance": {"seed": 7, "data_facts": {"train": FACTS, "val": None}, "data_sha256": "abc"},
    }
    return manifest.model_copy(update={"training": training})


def test_the_card_shows_each_slice_and_what_it_was_measured_on(told):
    card = model_card(told)
    assert "| skin | VI | 3 | 30 | 0.500 | 0.250 |" in card
    assert "On 40 pictures of 4 subjects; each picture asks the others." in card
    assert "data_facts" not in card
    assert "GDPR" in card


def test_the_sheet_counts_groups_and_asks_what_no_machine_knows(told):
    sheet = data_sheet(told)
    assert "- pictures of a subject: 8 to 12, median 10" in sheet
    assert "| skin | VI | 30 (75%) |" in sheet
    assert "- with landmarks: 0 (0%)" in sheet
    assert "sha256 `abc`" in sheet
    assert sheet.count(UNKNOWN) == 1  # the validation pictures
    assert "were the people asked?" in sheet


def test_what_was_not_measured_is_said_to_be_so(exported):
    manifest = read_manifest(exported)
    assert "Not measured: `ear-teacher evaluate`" in model_card(manifest)
    assert data_sheet(manifest).count(UNKNOWN) == 2


def test_the_card_says_whose_the_figures_are_and_on_whom_the_calibration_was_made(told):
    card = model_card(told)
    assert "Calibration: on 40 pictures of 10 people. None of the 10 people were trained on." in card
    training = {**told.training, "calibrated_on": None, "validated_on": "5 of 10 people were trained on."}
    card = model_card(told.model_copy(update={"training": training, "calibration": None}))
    assert "## Validation figures\n\n5 of 10 people were trained on.\n" in card
    assert "Calibration: none." in card


def test_both_papers_are_files_of_the_bundle(exported):
    manifest = read_manifest(exported)
    for name, text in (("MODEL_CARD.md", model_card), ("DATASHEET.md", data_sheet)):
        assert name in manifest.files
        assert (exported / name).read_text() == text(manifest)
