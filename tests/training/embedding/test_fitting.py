"""The embedding is learned from renders: photo-like crops, landmark networks, projection, and the words that do it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ear_teacher import main
from training.checkpoint import read_trained_on
from training.embedding.aligner import AlignerConfig, _NetTrainer, fit_aligner, mean_ear
from training.embedding.branch import load_branch
from training.embedding.carried import branch_of
from training.embedding.landmark_net import LandmarkNet
from training.embedding.photo_faults import jpeg
from training.embedding.photo_like import PhotoLike, photo_like
from training.embedding.rendered import Rendered
from training.errors import ConfigError, DataError

EARS = Path(__file__).parents[3] / "demo" / "ears"


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    return Rendered.read([EARS], limit=32)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("branches") / "aligned.pt"
    command = ["embedding", "aligner", str(EARS), "--out", str(path), "--steps", "3", "--rounds", "1", "--dim", "16"]
    assert main([*command, "--limit", "32"]) == 0
    return path


def test_the_landmarks_of_a_right_ear_are_mirrored_with_it(rendered):
    assert rendered.images.shape == (32, 176, 176, 3)
    assert len(set(rendered.people)) == 4
    tragus, posterior = rendered.landmarks[:, 12, 0], rendered.landmarks[:, 5, 0]
    assert (posterior > tragus).all()  # every ear faces left


def test_landmarks_move_with_the_pixels_of_a_photo_like_crop(rendered):
    images = torch.zeros(16, 176, 176, 3, dtype=torch.uint8)
    for row, (x, y) in enumerate(rendered.landmarks[:16, 5].round().int().tolist()):
        images[row, y - 3 : y + 3, x - 3 : x + 3] = 255
    crops = photo_like(
        images, rendered.landmarks[:16].round(), PhotoLike(tight=0.0, photometric=False), torch.Generator()
    )
    steps = (torch.arange(128) + 0.5) / 128
    weight = crops.grey[:, 0] / crops.grey.sum((1, 2, 3))[:, None, None]
    centre = torch.stack([(weight * steps).sum((1, 2)), (weight * steps[:, None]).sum((1, 2))], 1)
    torch.testing.assert_close(centre, crops.landmarks[:, 5], atol=0.01, rtol=0)


def test_photo_like_crops_depend_on_the_seed_alone(rendered):
    first, again, other = rendered.crops(1, 3), rendered.crops(1, 3), rendered.crops(1, 4)
    assert torch.equal(first.grey, again.grey)
    assert not torch.equal(first.grey, other.grey)
    assert np.array_equal(first.rgb()[5, :, :, 2], first.grey[5, 0].numpy())


def test_coarse_jpeg_changes_a_picture_more_than_fine_jpeg(rendered):
    grey = rendered.crops(1, 3).grey[:4].float() / 255
    errors = [float((jpeg(grey, quality) - grey).abs().mean()) for quality in (95, 50, 10)]
    assert errors == sorted(errors)
    assert errors[0] < 0.01


def test_the_mean_ear_is_that_of_similar_ears():
    rng = np.random.default_rng(0)
    ear = rng.normal(size=(17, 2)).astype(np.float32)
    angles = rng.normal(0, 0.3, 50)
    angles -= angles.mean()
    turns = np.stack([[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angles])
    mean = mean_ear((ear @ turns.transpose(0, 2, 1) * 7 + 3).astype(np.float32))
    assert np.ptp(mean[:, 1]) == pytest.approx(1.5)
    shape = (ear - ear.mean(0)) / np.ptp(ear[:, 1]) * 1.5
    np.testing.assert_allclose(mean - mean.mean(0), shape, atol=0.05)


def test_a_landmark_network_learns_its_crops(rendered):
    crops, even = rendered.crops(1, 9), torch.eye(2, 3).expand(8, 2, 3)
    grey, landmarks = crops.grey[:8].float() / 255, crops.landmarks[:8] * 2 - 1
    torch.manual_seed(0)
    trainer = _NetTrainer(LandmarkNet(), AlignerConfig())
    errors = [trainer.step(grey, even, landmarks, 2e-3) for _ in range(12)]
    assert errors[-1] < 0.7 * errors[0]


def test_training_ends_when_its_minutes_are_over(rendered, caplog):
    with caplog.at_level("INFO"):
        fit_aligner(rendered, AlignerConfig(steps=10**6, minutes=1e-6, batch=2, rounds=1), dim=16)
    assert "time is over after 1 of 1000000 steps" in caplog.text


def test_training_goes_on_from_the_networks_of_a_bundle(rendered):
    """Its batch norms are folded away: one step at a tiny rate must leave what the networks compute as it was."""
    before = branch_of(EARS.parent / "bundle").branch
    config = AlignerConfig(steps=1, batch=32, rounds=1, learning_rate=1e-7)
    after = fit_aligner(rendered, config, dim=8, start=before)
    grey = rendered.crops(1, 5).grey.float() / 255
    with torch.inference_mode():
        torch.testing.assert_close(after.locate(grey).landmarks, before.locate(grey).landmarks, atol=0.02, rtol=0)
    assert torch.equal(after.mean_ear, before.mean_ear)
    assert len(after.project.weight) == 8
    with pytest.raises(ConfigError, match="--learning-rate 0"):
        AlignerConfig(learning_rate=0)


def test_the_words_go_on_from_a_bundle(tmp_path, capsys):
    bundle, out = EARS.parent / "bundle", tmp_path / "aligner.pt"
    command = ["embedding", "aligner", str(EARS), "--init-from", str(bundle), "--learning-rate", "1e-5"]
    assert main([*command, "--limit", "16", "--rounds", "1", "--steps", "1", "--out", str(out)]) == 0
    shipped, saved = branch_of(bundle).branch, load_branch(out)
    assert torch.equal(saved.branch.mean_ear, shipped.mean_ear.half().float())
    assert saved.trained_on == Rendered.read([EARS], limit=16).trained_on.after(read_trained_on(bundle))


def test_the_words_make_a_branch_from_renders(aligned, tmp_path, capsys):
    command = ["embedding", "project", str(EARS), "--branch", str(aligned), "--out", str(tmp_path / "embedding.pt")]
    assert main([*command, "--limit", "32", "--rounds", "1"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"aligner_pictures": 32, "aligner_people": 4, "crops": 32, "people": 4}
    branch, config, trained_on = load_branch(tmp_path / "embedding.pt")
    assert "no_projection" not in config
    assert trained_on == Rendered.read([EARS], limit=32).trained_on
    with torch.inference_mode():
        vectors, spreads = branch.embed(torch.zeros(2, 128, 128, 3, dtype=torch.uint8))
    assert vectors.shape == (2, 16)
    assert spreads.shape == (2,)


def test_a_branch_without_projection_is_not_attached(aligned, tmp_path, capsys):
    bundle = str(EARS.parent / "bundle")
    command = ["embedding", "attach", bundle, "--branch", str(aligned), "--crops", str(EARS)]
    assert main([*command, "--out", str(tmp_path / "new")]) != 0
    assert "has no projection yet" in capsys.readouterr().err


def test_what_the_networks_cannot_learn_from_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text(f"path,subject\n{EARS / 'crops/s101_0000_00.jpg'},a\n")
    with pytest.raises(DataError, match="have 0 landmarks"):
        Rendered.read([tmp_path])
    with pytest.raises(ConfigError, match="--minutes 0"):
        AlignerConfig(minutes=0)
