"""`ear-teacher boxes`: what a bundle's detector finds, as a table that every verb reads."""

import pytest
from PIL import Image

import ear_teacher
from common.records.reader import read_records
from tests.serve.landmark_bundle import add_landmarks_to
from tests.serve.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    write_tiny_bundle(folder)
    add_landmarks_to(folder)
    return folder


@pytest.fixture
def people(tmp_path):
    for name, grey in (("ann/1.png", 250), ("ann/2.png", 5), ("ben/1.png", 250)):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (640, 640), (grey,) * 3).save(tmp_path / "data" / name)
    (tmp_path / "data" / "ben" / "2.png").write_bytes(b"no picture")
    return tmp_path / "data"


def test_boxes_sides_and_subjects_stand_in_the_table_and_what_has_none_is_named(bundle, people, capsys):
    assert ear_teacher.main(["boxes", str(people), "--bundle", str(bundle)]) == 0
    said = capsys.readouterr().out
    assert "no ear found in ann/2.png" in said
    assert "left out ben/2.png" in said
    assert "boxes of 2 of 4 pictures" in said
    records = {record.name: record for record in read_records(people).records}
    assert records["ann/1.png"].box == (200.0, 120.0, 440.0, 520.0)
    assert (records["ann/1.png"].side, records["ann/1.png"].subject) == ("right", "ann")
    assert records["ann/2.png"].box is None


def test_table_that_is_there_is_replaced_on_request_only(bundle, people, capsys):
    (people / "metadata.csv").write_text("path\nann/1.png\n")
    assert ear_teacher.main(["boxes", str(people), "--bundle", str(bundle)]) == 2
    assert "is there already; give another file, or --force" in capsys.readouterr().err


def test_bundle_without_a_detector_is_refused(people, tmp_path, capsys):
    folder = tmp_path / "tiny"
    folder.mkdir()
    write_tiny_bundle(folder)
    assert ear_teacher.main(["boxes", str(people), "--bundle", str(folder)]) == 2
    assert "has no detector" in capsys.readouterr().err
