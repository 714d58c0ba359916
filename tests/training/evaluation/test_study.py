"""`ear-teacher evaluate`, from pictures to files."""

import json
from dataclasses import replace

import numpy as np
import pytest

import ear_teacher
from measure.picture import psnr, ssim
from tests.training.conftest import write_ears
from tests.training.shapes import MICRO
from training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from training.config import LossWeights
from training.data.records import load_records
from training.data.trained_on import Digests, TrainedOn, picture_digest
from training.errors import CheckpointError, ConfigError, DataError
from training.evaluation.choice import StudyConfig, pictures
from training.evaluation.model import CheckpointModel, decode_all, encode_all, open_model
from training.evaluation.study import study
from training.networks.vae import EarVAE


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Ears of 12 training and 12 validation subjects."""
    folder = tmp_path_factory.mktemp("people")
    write_ears(folder, range(12), "train_teacher.npy")
    write_ears(folder, range(12, 24), "val_teacher.npy")
    return folder


def trained_on(path):
    """What a checkpoint says that was trained on the pictures of a teacher file."""
    records = load_records(path)
    seen = Digests.of(records, [picture_digest(record.read()) for record in records])
    return TrainedOn(seen, Digests(frozenset(), frozenset()), nameless=False).to_dict()


def write_model(folder, said):
    path = folder / "model.ckpt"
    write_checkpoint(path, Checkpoint(MICRO, EarVAE(MICRO).state_dict(), {"seed": 1}, {"val_loss": 1.0}, said))
    return path


@pytest.fixture(scope="module")
def checkpoint(people, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"), trained_on(people / "train_teacher.npy"))


@pytest.fixture(scope="module")
def found(people, checkpoint):
    return study(open_model(checkpoint), StudyConfig(people, samples=20))


def test_figures_are_there_with_intervals_slices_sides_and_baselines(found):
    results = found.results
    json.dumps(results)
    assert results["data"]["pictures"] == 48
    assert results["data"]["subjects"] == 12
    assert results["data"]["trained_on"] == "None of the 12 people were trained on."
    assert set(results["reconstruction"]["intervals"]) == {"psnr_db", "ssim"}
    assert {"loss", "l1", "ssim", "edge", "center", "kl"} == set(results["reconstruction"]["terms"])
    identity = results["identity"]
    assert set(identity["side"]) == {"known", "unknown", "predicted"}
    assert 0 <= identity["side"]["predicted"]["accuracy"] <= 1
    assert {row["attribute"] for row in identity["slices"]} == {"side", "light"}
    assert identity["calibration"]["genuine_pairs"] == 48
    assert identity["open_set"]["enrolled"] == 6
    assert "HOG" in results["baselines"]
    assert "rank1" in results["baselines"]["HOG"]


def test_reconstruction_is_measured_against_the_crops(found):
    quality = found.results["reconstruction"]
    assert quality["psnr_db"] == pytest.approx(psnr(found.crops, found.reconstructions).mean())
    assert quality["ssim"] == pytest.approx(ssim(found.crops, found.reconstructions).mean())
    assert quality["terms"]["ssim"] == pytest.approx(1 - quality["ssim"], abs=2e-3)
    expected = np.abs(found.crops.astype(float) - found.reconstructions).mean() / 127.5
    assert quality["terms"]["l1"] == pytest.approx(expected, rel=1e-3)


def test_pca_stands_beside_it_where_there_are_pictures_enough(people, checkpoint, monkeypatch):
    monkeypatch.setattr("training.evaluation.study.PCA_COMPONENTS", (4, 16))
    results = study(open_model(checkpoint), StudyConfig(people, samples=2)).results["baselines"]
    assert results["PCA-16"]["psnr_db"] > results["PCA-4"]["psnr_db"] > 10
    assert results["PCA-4"]["rank1"] > 2 / 12  # twice chance


def test_people_trained_on_are_counted_and_give_no_calibration(people, checkpoint, tmp_path, capsys):
    flags = ["--data", str(people / "train_teacher.npy"), "--out", str(tmp_path), "--samples", "2", "--no-baselines"]
    before = read_checkpoint(checkpoint).metrics
    assert ear_teacher.main(["evaluate", str(checkpoint), *flags]) == 0
    said = capsys.readouterr().out
    assert said.startswith("12 of 12 people were trained on: the figures flatter the model.")
    assert "no calibration is kept" in said
    assert read_checkpoint(checkpoint).metrics == before
    assert "calibration" not in json.loads((tmp_path / "results.json").read_text())["identity"]
    report = (tmp_path / "report.html").read_text()
    assert report.index("12 of 12 people were trained on") < report.index("<h1>")


def test_people_trained_on_are_left_out_where_others_remain(people, checkpoint, tmp_path):
    rows = [(record, "") for name in ("train", "val") for record in load_records(people / f"{name}_teacher.npy")]
    lines = [f"{people / record.name},{record.subject},{record.side}" for record, _ in rows]
    (tmp_path / "t.csv").write_text("\n".join(["path,subject,side", *lines]))
    result = study(open_model(checkpoint), StudyConfig(tmp_path / "t.csv", samples=2, baselines=False)).results
    assert result["data"]["trained_on"] == (
        "12 of 24 people were trained on and are left out: the figures are of the other 12."
    )
    assert (result["data"]["pictures"], result["data"]["subjects"], result["data"]["left_out"]) == (48, 12, 48)
    assert "calibration" in result["identity"]


def test_model_that_does_not_say_whom_it_was_trained_on_gets_no_claim_and_no_calibration(people, tmp_path):
    model = open_model(write_model(tmp_path, {}))
    result = study(model, StudyConfig(people, samples=2, baselines=False)).results
    assert "not known on whom" in result["data"]["trained_on"]
    assert "calibration" not in result["identity"]


def test_split_is_asked_for_by_name_and_refused_where_it_is_not_there(people, checkpoint, tmp_path):
    records = load_records(people / "val_teacher.npy")
    lines = [f"{people / r.name},{r.subject},{'Test' if r.subject < 's18' else 'valid'}" for r in records]
    (tmp_path / "t.csv").write_text("\n".join(["path,subject,split", *lines]))
    config = StudyConfig(tmp_path / "t.csv", split="test")
    assert {r.subject for r in pictures(config).judged} == {f"s{n}" for n in range(12, 18)}
    assert pictures(StudyConfig(tmp_path / "t.csv")).split == "val"
    with pytest.raises(DataError, match="no pictures in split 'train'; there are: test, val"):
        pictures(StudyConfig(tmp_path / "t.csv", split="train"))


def test_pictures_without_subjects_give_reconstruction_alone(people, checkpoint, tmp_path):
    import shutil

    for name in ("s0_0.png", "s1_0.png"):
        shutil.copy(people / name, tmp_path)
    results = study(open_model(checkpoint), StudyConfig(tmp_path, samples=2)).results
    assert results["reconstruction"]["psnr_db"] > 0
    assert "identity" not in results
    assert results["baselines"] == {"HOG": {}, "LBP": {}, "BSIF": {}}
    assert results["protocols"] == {}
    assert results["data"]["trained_on"].startswith("2 of 2 pictures were trained on")


def test_table_with_a_split_is_judged_by_its_validation_rows(people, tmp_path):
    import shutil

    for name in ("s0_0.png", "s1_0.png"):
        shutil.copy(people / name, tmp_path)
    (tmp_path / "metadata.csv").write_text("split,path\ntrain,s0_0.png\nval,s1_0.png\n")
    judged, learned, *_ = pictures(StudyConfig(tmp_path / "metadata.csv"))
    assert [r.path.name for r in judged] == ["s1_0.png"]
    assert learned is not None
    assert [r.path.name for r in learned] == ["s0_0.png"]


def test_batches_do_not_change_what_a_model_says(people, checkpoint):
    model = CheckpointModel(checkpoint)
    crops = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    whole, alone = encode_all(model, crops, "x"), model.encode(crops[35:36])
    np.testing.assert_allclose(whole.mu[35], alone.mu[0], atol=1e-5)
    assert decode_all(model, whole.mu).shape == crops.shape


def test_path_that_is_no_model_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint or bundle"):
        open_model(tmp_path / "absent")


def test_too_few_samples_name_their_flag(people):
    with pytest.raises(ConfigError, match="--samples 1"):
        StudyConfig(people, samples=1)


def test_unusable_pictures_are_refused(checkpoint, tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="none of the 1 pictures"):
        study(open_model(checkpoint), StudyConfig(tmp_path))


def test_perceptual_term_is_measured_where_weights_are_given(people, checkpoint):
    from tests.training.losses.test_perceptual import published_state
    from training.losses.perceptual import Vgg16Features

    vgg = Vgg16Features.from_state_dict(published_state(), "vgg")
    config = replace(StudyConfig(people, samples=2, baselines=False), losses=LossWeights())
    assert study(open_model(checkpoint), config, vgg).results["reconstruction"]["terms"]["perceptual"] > 0


def test_command_writes_json_plots_and_one_html_file(people, checkpoint, tmp_path, capsys):
    out = tmp_path / "evaluation"
    flags = ["--data", str(people), "--out", str(out), "--samples", "5"]
    assert ear_teacher.main(["evaluate", str(checkpoint), *flags]) == 0
    said = capsys.readouterr().out
    assert "rank-1" in said
    assert "HOG" in said
    assert f"calibration kept in {checkpoint}" in said
    plots = {path.name for path in out.glob("*.png")}
    assert plots == {"reconstructions.png", "cmc.png", "roc.png", "similarities.png", "slices.png"}
    results = json.loads((out / "results.json").read_text())
    html = (out / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 5
    assert "src='http" not in html
    assert f"{results['identity']['subject']['rank1']:.3f}" in html
    kept = read_checkpoint(checkpoint)
    assert kept.metrics["calibration"] == results["identity"]["calibration"]
    columns = ("attribute", "value", "rank1", "eer")
    shown, measured = (
        [[row[name] for name in columns] for row in rows]
        for rows in (kept.metrics["slices"], results["identity"]["slices"])
    )
    assert shown == measured
    assert shown
    assert kept.metrics["judged_on"] == {n: v for n, v in results["data"].items() if n != "refused_pictures"}
    assert results["run"]["command"].startswith("ear-teacher evaluate")
    assert {"date", "version", "commit"} <= set(results["run"])
    assert set(results["protocols"]) == {"leave_one_out", "verification"}
    assert set(results["protocols"]["verification"]) >= {"embedding", "HOG", "LBP", "BSIF"}
    assert kept.metrics["val_loss"] == 1.0
    EarVAE.load_from_checkpoint(checkpoint)


def test_command_may_leave_out_the_baselines_and_the_boxes(people, checkpoint, tmp_path, capsys):
    flags = ["--data", str(people / "val_teacher.npy"), "--out", str(tmp_path), "--samples", "2"]
    assert ear_teacher.main(["evaluate", str(checkpoint), *flags, "--no-baselines", "--crop", "none"]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert "baselines" not in results
    assert results["data"]["crop"] == "none"
    assert "HOG" not in capsys.readouterr().out
