"""The identity network: learned on aligned renders, fused for use, its part of an embedding, the words for it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.golden import golden_crops
from ear_teacher import main
from tests.training.embedding.branches import random_branch
from training.embedding.adapt import IDENTITY_WEIGHT, fit_head
from training.embedding.branch import FEATURES, EarBranch, load_branch, save_branch
from training.embedding.identity import IdentityConfig, covered, fit_identity, jitter, views_of
from training.embedding.identity_net import GRID, IdentityNet, fused
from training.embedding.rendered import Rendered
from training.errors import ConfigError, DataError

EARS = Path(__file__).parents[3] / "demo" / "ears"
SHORT = IdentityConfig(steps=2, batch=4, rounds=1, views=1)


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    return Rendered.read([EARS], limit=16)


def test_a_fused_network_gives_what_it_gave_in_training_and_is_exact_in_half_precision():
    torch.manual_seed(0)
    net, cells = IdentityNet(8, normalised=True), torch.rand(64, 12, *GRID)
    for _ in range(3):
        outputs = net.train()(cells)
    mean, variance = outputs.detach().mean(0), outputs.detach().var(0)
    plain = fused(net, mean, variance, 1e-5)
    expected = (net.eval()(cells) - mean) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(plain(cells), expected.detach(), atol=0.02, rtol=0.02)
    assert not [module for module in plain.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert all(torch.equal(value, value.half().float()) for value in plain.state_dict().values())


def test_training_tells_the_people_that_it_saw_apart(rendered):
    learned = fit_identity(random_branch(64), rendered, IdentityConfig(steps=40, batch=16, rounds=1, views=1))
    people = np.array(rendered.people)
    cells = views_of(learned, rendered.crops(1, 3).grey, SHORT, torch.Generator())[0]
    with torch.inference_mode():
        vectors = torch.nn.functional.normalize(learned.identity(torch.from_numpy(cells).float() * (0.6 / 255))).numpy()
    cosine, same = vectors @ vectors.T, people[:, None] == people[None]
    assert cosine[same].mean() > cosine[~same].mean() + 0.3


def test_a_branch_keeps_its_landmarks_and_gains_a_part(rendered):
    before = random_branch(16)
    learned = fit_identity(before, rendered, SHORT)
    assert torch.equal(learned.mean_ear, before.mean_ear)
    assert learned.identity.head.out_features == 4
    assert learned.centre.shape == (FEATURES + 4,)


def test_the_identity_part_weighs_what_it_should_and_stays_apart(rendered):
    learned = fit_identity(random_branch(16), rendered, SHORT)
    crops = np.concatenate([golden_crops(), golden_crops()[:, :, ::-1], golden_crops()[:, ::-1]])
    fitted = fit_head(learned, crops, list(range(6)) * 3)
    weight = fitted.project.weight
    assert not weight[:12, FEATURES:].any()
    assert not weight[12:, :FEATURES].any()
    with torch.inference_mode():
        grey = torch.from_numpy(crops).float().mean(3)[:, None] / 255
        described = fitted.describe(grey, fitted.locate(grey)) - fitted.centre
    lengths = [(described @ part.T).square().sum(1).mean().sqrt() for part in (weight[:12], weight[12:])]
    assert float(lengths[1] / lengths[0]) == pytest.approx(IDENTITY_WEIGHT, rel=0.05)


def test_a_branch_with_an_identity_network_is_saved_and_loaded(tmp_path):
    torch.manual_seed(0)
    branch = EarBranch(16, has_identity=True).eval()
    save_branch(branch, tmp_path / "embedding.pt", {"people": 3})
    loaded, facts, _ = load_branch(tmp_path / "embedding.pt")
    assert facts == {"people": 3}
    torch.testing.assert_close(loaded.identity.head.weight, branch.identity.head.weight, atol=1e-3, rtol=1e-3)


def test_views_depend_on_the_seed_alone_and_stay_near_the_ear():
    first, again = (jitter(512, SHORT, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert float((first - torch.eye(3)).abs().mean((0, 1, 2))) < 0.1
    cells = torch.rand(8, 12, *GRID)
    changed = covered(cells, torch.Generator().manual_seed(1))
    assert changed.shape == cells.shape
    assert not torch.equal(changed, cells)


def test_the_words_train_it_between_aligner_and_project(tmp_path, capsys):
    save_branch(random_branch(16), tmp_path / "aligned.pt", {"aligner_people": 2})
    command = ["embedding", "identity", str(EARS), "--branch", str(tmp_path / "aligned.pt"), "--limit", "16"]
    flags = ["--steps", "2", "--rounds", "1", "--views", "1", "--out", str(tmp_path / "identity.pt")]
    assert main([*command, *flags]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == {"aligner_people": 2, "identity_crops": 16, "identity_people": 2, "no_projection": True}
    assert load_branch(tmp_path / "identity.pt").branch.identity is not None


def test_what_it_cannot_learn_from_is_refused(rendered):
    with pytest.raises(ConfigError, match="--views 0"):
        IdentityConfig(views=0)
    with pytest.raises(ConfigError, match="--minutes 0"):
        IdentityConfig(minutes=0)
    alone = Rendered(rendered.images[:2], rendered.landmarks[:2], ["a", "a"], rendered.trained_on)
    with pytest.raises(DataError, match="1 people: at least 2"):
        fit_identity(random_branch(16), alone, SHORT)
