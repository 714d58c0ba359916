"""Whole runs of the smallest model: files, resuming, every way of training."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.conftest import logged, micro_config
from tests.training.shapes import MICRO
from training.checkpoint import read_checkpoint, read_raw
from training.config import LossWeights
from training.data.dataset import to_unit
from training.errors import ConfigError, DataError, OutOfMemory, WeightsMissing
from training.fit.session import resolve_precision
from training.fit.trainer import build_model, fit
from training.networks.vae import EarVAE


@pytest.fixture(scope="module")
def finished(ears, tmp_path_factory):
    """A run of four epochs, and what it logged."""
    config = replace(micro_config(ears, tmp_path_factory.mktemp("finished") / "run"), epochs=4)
    with logged() as lines:
        path = fit(config)
    return config, path, lines


def test_run_ends_with_a_model_that_opens(finished):
    config, path, _ = finished
    assert path == config.out / "model.ckpt"
    model = EarVAE.load_from_checkpoint(path)
    assert model.config == MICRO
    assert not model.training


def test_announcement_counts_parameters_memory_and_pictures(finished):
    _, _, said = finished
    text = "\n".join(said)
    count = EarVAE(MICRO).parameter_count()
    assert f"{count.total / 1e6:.1f} M parameters" in text
    assert "trainable" in text
    assert "frozen" in text
    assert "GiB expected for a batch of 8" in text
    assert "24 training and 12 validation pictures" in text
    assert "3 steps of 8 pictures in each of 4 epochs" in text
    assert "6 subjects, side known for 24 of 24" in text
    assert "RANDOM weights" in text
    assert "no perceptual term" in text


def test_best_three_and_last_checkpoints_stay_and_no_stray_folder(finished):
    config, _, _ = finished
    names = sorted(path.name for path in (config.out / "checkpoints").iterdir())
    assert "last.ckpt" in names
    best = [name for name in names if name != "last.ckpt"]
    assert len(best) == 3
    assert all(name.startswith("epoch=00") and "val_loss=" in name for name in best)
    assert all(path.is_file() for path in (config.out / "checkpoints").iterdir())


def test_model_is_the_epoch_of_lowest_loss(finished):
    config, path, _ = finished
    losses = {p: float(p.stem.split("val_loss=")[1]) for p in (config.out / "checkpoints").glob("epoch*")}
    best = read_checkpoint(min(losses, key=lambda p: losses[p]))
    ours = read_checkpoint(path)
    for name, tensor in best.state_dict.items():
        if name != "identity.mean":
            torch.testing.assert_close(ours.state_dict[name], tensor)
    assert ours.metrics["val_loss"] == pytest.approx(min(losses.values()), abs=1e-3)


def test_identity_mean_is_the_mean_of_the_training_latents(finished, ears):
    from training.data.crops import Framer
    from training.data.prepare import framing
    from training.data.records import load_records

    _, path, _ = finished
    model = EarVAE.load_from_checkpoint(path)
    framer = Framer(framing(32))
    crops = np.stack([framer(record).crop for record in load_records(ears / "train_teacher.npy")])
    with torch.no_grad():
        mu, _ = model.encoder(to_unit(torch.from_numpy(crops)))
    torch.testing.assert_close(model.identity.mean, mu.mean(0), atol=1e-4, rtol=1e-3)


def test_every_file_opens_with_weights_only(finished):
    config, path, _ = finished
    for file in [path, *(config.out / "checkpoints").iterdir()]:
        torch.load(file, weights_only=True)


def test_provenance_tells_how_it_was_made_and_no_path(finished):
    config, path, _ = finished
    provenance = read_checkpoint(path).provenance
    assert provenance["seed"] == 0
    assert provenance["train_pictures"] == 24
    assert provenance["train_subjects"] == 6
    assert provenance["seconds"] > 0
    assert len(provenance["data_sha256"]) == 129
    assert provenance["versions"]["torch"] == torch.__version__
    assert provenance["flags"]["losses"]["ssim"] == 0.6
    assert str(config.out.parent) not in json.dumps(provenance)


def test_csv_has_terms_metrics_rate_and_speed(finished):
    config, _, _ = finished
    with (config.out / "logs" / "csv" / "version_0" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    columns = set(rows[0])
    for term in ("loss", "l1", "ssim", "edge", "center", "contrastive", "kl"):
        assert f"train_{term}_epoch" in columns
    assert {"val_loss", "val_psnr", "val_ssim", "val_rank1", "val_eer", "images_per_s", "learning_rate"} <= columns
    assert len([row for row in rows if row["val_loss"]]) == 4


def test_tensorboard_has_scalars_pictures_and_the_projector(finished):
    config, _, _ = finished
    folder = config.out / "logs" / "tensorboard" / "version_0"
    events = EventAccumulator(str(folder)).Reload()
    scalars = set(events.Tags()["scalars"])
    assert {"val_psnr", "val_ssim", "images_per_s", "learning_rate", "train_l1_epoch"} <= scalars
    assert events.Tags()["images"] == ["reconstructions"]
    assert (folder / "projector_config.pbtxt").is_file()
    tensors = next(folder.rglob("tensors.tsv"))
    assert len(tensors.read_text().splitlines()) == 12


def test_flags_are_kept_as_yaml(finished):
    config, _, _ = finished
    for name in ("csv", "tensorboard"):
        flags = yaml.safe_load((config.out / "logs" / name / "version_0" / "hparams.yaml").read_text())
        assert flags["batch_size"] == 8
        assert flags["model"]["latent_dim"] == 24


def test_each_epoch_leaves_a_picture_of_reconstructions(finished):
    config, _, _ = finished
    files = sorted((config.out / "reconstructions").iterdir())
    assert [file.name for file in files] == [f"epoch_{n:03d}.png" for n in range(4)]
    with Image.open(files[0]) as picture:
        assert picture.size == (8 * 32, 2 * 32)


def test_fast_dev_run_writes_everything_after_one_step(micro_run):
    fit(replace(micro_run, fast_dev_run=True, batch_size=1, epochs=60))
    assert read_raw(micro_run.out / "checkpoints" / "last.ckpt")["global_step"] == 1
    EarVAE.load_from_checkpoint(micro_run.out / "model.ckpt")


def test_time_limit_stops_and_ends_the_schedule(micro_run):
    fit(replace(micro_run, epochs=100_000, max_minutes=0.08))
    last = read_raw(micro_run.out / "checkpoints" / "last.ckpt")
    assert 0 < last["global_step"] < 30_000
    assert last["progress"] == pytest.approx(1.0, abs=0.3)
    assert last["optimizer_states"][0]["param_groups"][0]["lr"] < 0.5 * micro_run.lr


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "muon", "views": 1, "decode_every": 2, "identity": "subject", "identity_head": "fitted"},
        {"losses": LossWeights(perceptual=0, landmark=1.0, keypoint=1.0, coarse=1.0, contrastive=0)},
        {"ema_decay": 0.9, "augment": 0.0, "gradient_clip": 0.0, "precision": "bf16-mixed"},
        {"hold_crops": "no", "num_workers": 1, "crop": "none", "weight_decay": 0.0, "per_identity": 1},
    ],
    ids=["muon, one view, fitted head", "landmarks, no identity", "average, no augmentation", "decode, workers"],
)
def test_every_way_of_training_runs(micro_run, changes):
    config = replace(micro_run, epochs=1, model=replace(MICRO, keypoints=4, norm_features=True), **changes)
    path = fit(config)
    found = read_checkpoint(path)
    assert found.metrics["val_psnr"] > 5
    flat = {key: value for key, value in changes.items() if key != "losses"}
    assert {key: found.provenance["flags"][key] for key in flat} == flat
    if changes.get("identity_head") == "fitted":
        weight = found.state_dict["identity.weight"]
        assert not torch.equal(weight, torch.eye(24))


def test_head_is_fitted_to_views_where_no_subject_is_known(micro_run, ears, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for path in sorted(ears.glob("*.png")):
        shutil.copy(path, pictures)
    config = replace(micro_run, data=pictures, val=None, val_fraction=0.3, epochs=1, identity_head="fitted")
    weight = read_checkpoint(fit(config)).state_dict["identity.weight"]
    assert not torch.equal(weight, torch.eye(24))
    assert torch.isfinite(weight).all()


def test_head_that_nothing_trained_stays_the_identity(micro_run):
    path = fit(replace(micro_run, epochs=1, losses=LossWeights(perceptual=0, contrastive=0)))
    assert torch.equal(read_checkpoint(path).state_dict["identity.weight"], torch.eye(24))


def test_folder_that_holds_a_run_is_not_written_over(finished):
    config, _, _ = finished
    with pytest.raises(ConfigError, match=r"holds a run already.*--resume"):
        fit(config)


def test_missing_weights_end_the_run_before_it_reads_pictures(micro_run, tmp_path):
    with pytest.raises(WeightsMissing, match="holds no SAM model"):
        fit(replace(micro_run, sam_weights=str(tmp_path)))
    with pytest.raises(WeightsMissing, match="--perceptual-weight 0"):
        fit(replace(micro_run, losses=LossWeights(), vgg_weights=tmp_path / "absent.pth"))
    assert not micro_run.out.exists()


def test_unreadable_pictures_are_told_or_skipped(micro_run, ears, tmp_path):
    import shutil

    copied = shutil.copytree(ears, tmp_path / "ears")
    (copied / "s0_0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 24 train pictures.*--skip-unreadable"):
        fit(replace(micro_run, data=copied))
    with logged() as lines:
        fit(replace(micro_run, data=copied, skip_unreadable=True, fast_dev_run=True))
    assert any("left out: 1 pictures" in line for line in lines)


def test_running_out_of_memory_ends_with_advice(micro_run, monkeypatch):
    def exhausted(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("training.fit.module.EarModule.training_step", exhausted)
    with pytest.raises(OutOfMemory, match=r"out of memory at --batch-size 8.*--batch-size 7 should fit"):
        fit(micro_run)


def test_precision_follows_the_hardware(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_precision("bf16-mixed") == "bf16-mixed"
    assert resolve_precision("auto") in ("32", "bf16-mixed")
    with pytest.raises(ConfigError, match="--precision 16-mixed"):
        resolve_precision("16-mixed")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for native, expected in ((True, "bf16-mixed"), (False, "16-mixed")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert resolve_precision("auto") == expected
    assert resolve_precision("auto", "cpu") in ("32", "bf16-mixed")


def test_seed_decides_the_first_weights(micro_run):
    import lightning

    def weights(seed):
        lightning.seed_everything(seed, verbose=False)
        return build_model(micro_run)[0].encoder.to_mu.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_landmark_term_without_landmarks_is_refused(micro_run, ears, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for path in sorted(ears.glob("*.png")):
        shutil.copy(path, pictures)
    losses = LossWeights(perceptual=0, landmark=1.0)
    with pytest.raises(ConfigError, match="--landmark-weight 1: the data has no landmarks"):
        fit(replace(micro_run, data=pictures, val_fraction=0.3, losses=losses))


def test_new_run_starts_from_the_networks_of_a_checkpoint(finished, micro_run):
    _, path, _ = finished
    config = replace(micro_run, init_from=path, epochs=1, lr=1e-9, augment=0.0)
    made = read_checkpoint(fit(config))
    before = read_checkpoint(path)
    for name in ("encoder.to_mu.weight", "decoder.to_rgb.weight", "identity.weight"):
        torch.testing.assert_close(made.state_dict[name], before.state_dict[name], atol=1e-5, rtol=0)
    assert made.provenance["init_from"]["name"] == "model.ckpt"
    assert made.provenance["init_from"]["provenance"]["train_subjects"] == 6
