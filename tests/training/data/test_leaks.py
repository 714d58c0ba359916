"""People and pictures that would flatter figures: each kind of leak is planted, and refused or named."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import ear_teacher
from common.records.layout import ReadOptions
from common.records.record import EarRecord
from demo.datasets import write_ami, write_awe
from tests.training.conftest import logged
from training.checkpoint import read_checkpoint, read_trained_on, write_checkpoint
from training.data.prepare import prepare
from training.data.records import load_records
from training.data.splits import NO_SUBJECTS, load_splits
from training.data.trained_on import Digests, TrainedOn, exposure, picture_digest
from training.errors import DataError
from training.fit.trainer import fit


def write_table(ears, folder, split_of):
    """A table of all the ears with a column `split`."""
    records = [*load_records(ears / "train_teacher.npy"), *load_records(ears / "val_teacher.npy")]
    with (folder / "t.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("path", "subject", "side", "split"))
        rows.writerows((ears / r.name, r.subject, r.side, split_of(int(r.subject[1:]))) for r in records)
    return folder / "t.csv"


@pytest.mark.parametrize(
    "words",
    [("train", "validation", "test"), ("Train", "Val", "Test"), ("TRAINING", "dev", ""), ("train", "valid", "test")],
)
def test_rows_that_are_not_train_are_never_trained_on(ears, tmp_path, words):
    data = write_table(ears, tmp_path, lambda n: words[0] if n < 4 else words[1] if n < 6 else words[2])
    splits = load_splits(data)
    assert {r.subject for r in splits.train} == {"s0", "s1", "s2", "s3"}
    assert {r.subject for r in splits.val} == {"s4", "s5"}
    left_out = "12 of test" if words[2] else "12 without a split"
    assert f"not trained on: pictures {left_out}" in splits.notes


def test_without_validation_rows_people_are_held_out_of_the_training_rows_alone(ears, tmp_path):
    splits = load_splits(write_table(ears, tmp_path, lambda n: "train" if n < 6 else "test"))
    assert {r.subject for r in (*splits.train, *splits.val)} == {f"s{n}" for n in range(6)}
    assert len({r.subject for r in splits.val}) == 3
    assert "fewer than 5 people, since only 6 are there" in splits.how
    assert "3 of 6 people, 12 of 24 pictures validate" in splits.how


def test_unknown_split_is_refused_by_name(ears, tmp_path):
    data = write_table(ears, tmp_path, lambda n: "train" if n < 6 else "fold3")
    with pytest.raises(DataError, match=r"column 'split' has 'fold3' \(12 rows\); allowed are train, training, val"):
        load_splits(data)


def test_held_out_share_takes_five_people_at_least():
    people = [EarRecord(path, subject=f"s{n}") for n, path in enumerate([__file__] * 12)]  # type: ignore[arg-type]
    from training.data.splits import hold_out

    assert len(hold_out(people, 0.01)[1]) == 5


def test_same_file_names_in_every_persons_folder_do_not_go_to_one_side(ears, tmp_path):
    for n in range(12):
        (tmp_path / f"{n:03d}").mkdir()
        shutil.copy(ears / "s0_0.png", tmp_path / f"{n:03d}" / "09.png")
    splits = load_splits(tmp_path, options=ReadOptions("folder"))
    assert len(splits.train) == len(splits.val) + 2 == 7
    assert NO_SUBJECTS in splits.notes
    assert "people may be on both sides" in NO_SUBJECTS


def test_same_picture_on_both_sides_is_an_error_that_names_it(micro_run, ears, tmp_path):
    data = shutil.copytree(ears, tmp_path / "ears")
    shutil.copy(data / "s0_0.png", data / "s7_1.png")
    with pytest.raises(DataError, match=r"1 pictures are in training and in validation.*s0_0\.png = .*s7_1\.png"):
        prepare(replace(micro_run, data=data))


def test_missing_pictures_are_covered_by_skip_unreadable(micro_run, ears, tmp_path):
    data = shutil.copytree(ears, tmp_path / "ears")
    (data / "s0_0.png").unlink()
    with pytest.raises(DataError, match="1 of 24 pictures do not exist; mend them or give --skip-unreadable"):
        prepare(replace(micro_run, data=data))
    prepared = prepare(replace(micro_run, data=data, skip_unreadable=True))
    assert len(prepared.train.records) == 23
    assert prepared.refused == [f"{data / 's0_0.png'}: does not exist"]


def test_run_keeps_its_split_and_its_checkpoint_says_whom_it_was_trained_on(micro_run, ears):
    path = fit(replace(micro_run, fast_dev_run=True))
    with (micro_run.out / "split.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["subject"] for row in rows if row["split"] == "val"} == {"s6", "s7", "s8"}
    trained_on = TrainedOn.from_dict(read_checkpoint(path).trained_on)
    records = load_records(ears / "train_teacher.npy")
    digests = [picture_digest(record.read()) for record in records]
    assert exposure(trained_on, records, digests).sentence.startswith("6 of 6 people were trained on")
    others = load_records(ears / "val_teacher.npy")
    told = exposure(trained_on, others, [picture_digest(record.read()) for record in others])
    assert told.sentence == (
        "None of the 3 people were trained on; 3 of them validated, so the best epoch was chosen on them."
    )
    renamed = [replace(record, subject=f"new {record.subject}") for record in records]
    assert not exposure(trained_on, renamed, digests).trustworthy  # the pictures tell


def test_without_subjects_nothing_is_claimed_of_people(ears):
    records = load_records(ears / "val_teacher.npy")
    digests = [picture_digest(record.read()) for record in records]
    nameless = TrainedOn(Digests.of([], [b"12345678"]), Digests.of([], []), nameless=True)
    told = exposure(nameless, records, digests)
    assert "cannot be known" in told.sentence
    assert not told.trustworthy
    nobody = [replace(record, subject=None) for record in records]
    assert not exposure(replace(nameless, nameless=False), nobody, digests).trustworthy


def test_model_made_of_others_was_trained_on_all_of_theirs(ears):
    records = load_records(ears / "val_teacher.npy")
    digests = [picture_digest(record.read()) for record in records]
    first, second = (TrainedOn.of([r for r in records if r.subject == name], ()) for name in ("s6", "s7"))
    both = first.after(second)
    assert exposure(both, records, digests).sentence.startswith("2 of 3 people were trained on")
    assert TrainedOn.from_dict(both.to_dict()) == both
    unknown = TrainedOn.from_dict(first.after(None).to_dict())
    told = exposure(unknown, records, digests)
    assert not told.trustworthy
    assert "since it is not known on whom the model that it started from was trained" in told.sentence


def test_shipped_bundle_says_on_whom_it_was_trained():
    ears = Path(__file__).parents[3] / "demo" / "ears"
    known = read_trained_on(ears.parent / "bundle")
    for split, people in (
        ("train", "168 of 168 people were trained on"),
        ("val", "None of the 40 people were trained on"),
    ):
        records = load_records(ears, split)
        told = exposure(known, records, [picture_digest(record.read()) for record in records])
        assert told.sentence.startswith(people)
        assert told.trustworthy == (split == "val")


def test_run_from_networks_that_knew_its_validation_people_keeps_no_calibration(micro_run, ears, tmp_path):
    """`--init-from` a model that was trained on them, on some of them, or on nobody knows whom."""
    known = replace(micro_run, data=ears / "val_teacher.npy", val=ears / "train_teacher.npy", fast_dev_run=True)
    source = fit(replace(known, out=tmp_path / "known"))
    second = replace(micro_run, init_from=source, fast_dev_run=True, batch_size=16)
    with logged() as lines:
        metrics = read_checkpoint(fit(replace(second, out=tmp_path / "second"))).metrics
    assert "calibration" not in metrics
    assert "calibrated_on" not in metrics
    assert metrics["validated_on"] == "3 of 3 people were trained on: the figures flatter the model."
    assert f"no calibration is kept: {metrics['validated_on']}" in lines
    checkpoint = read_checkpoint(source)
    write_checkpoint(source, replace(checkpoint, trained_on={}))
    metrics = read_checkpoint(fit(replace(second, out=tmp_path / "third"))).metrics
    assert "calibration" not in metrics
    assert "it is not known on whom" in metrics["validated_on"]
    write_checkpoint(source, replace(checkpoint, trained_on=TrainedOn.of([], ()).to_dict()))
    metrics = read_checkpoint(fit(replace(second, out=tmp_path / "fourth"))).metrics
    assert metrics["calibrated_on"]["trained_on"].startswith("None of the 3 people were trained on")
    assert metrics["calibration"]["genuine_pairs"] > 0


@pytest.mark.parametrize("write", [write_awe, pytest.param(write_ami, marks=pytest.mark.slow)])
def test_published_layouts_train_split_by_person_and_evaluate_with_a_command_each(write, tmp_path, capsys):
    data = write(tmp_path / "data", 12)
    run = ["--data", str(data), "--out", str(tmp_path / "run"), "--preset", "tiny", "--perceptual-weight", "0"]
    assert ear_teacher.main(["train", *run, "--fast-dev-run", "--num-workers", "0", "--accelerator", "cpu"]) == 0
    told = capsys.readouterr()
    assert "12 people" in told.err
    judged = ["--data", str(data), "--out", str(tmp_path / "evaluation"), "--samples", "2", "--no-baselines"]
    assert ear_teacher.main(["evaluate", str(tmp_path / "run" / "model.ckpt"), *judged]) == 0
    assert "7 of 12 people were trained on and are left out: the figures are of the other 5." in capsys.readouterr().out


def test_a_record_of_an_unknown_start_keeps_apart_whether_subjects_were_missing():
    """Or else naming the unknown start later (`--trained-on`) would still leave no claim about people."""
    seen = Digests(frozenset([b"12345678"]), frozenset())
    for nameless in (False, True):
        record = TrainedOn(seen, Digests.of([], []), nameless).after(None)
        values = record.to_dict()
        assert values["nameless"] is True  # to versions that do not know "incomplete"
        assert TrainedOn.from_dict(values) == record
        assert TrainedOn.from_dict(values).nameless is nameless
