"""The aligned embedding: similarities, the fallback to the box, its file, and the projection that is learned."""

import numpy as np
import pytest
import torch

from bundle.golden import golden_crops
from tests.training.embedding.branches import random_branch
from training.data.trained_on import Digests, TrainedOn
from training.embedding.adapt import adapt_head, fit_head
from training.embedding.branch import load_branch, save_branch, to_grey
from training.embedding.similarity import similarity, through
from training.errors import CheckpointError, DataError


def test_a_similarity_is_recovered_from_landmarks():
    mean_ear = torch.rand(17, 2) - 0.5
    theta = torch.tensor([[[0.7, -0.3, 0.1], [0.3, 0.7, -0.2]]])
    found = similarity(through(theta, mean_ear[None]), mean_ear, torch.rand(1, 17) + 0.1)
    torch.testing.assert_close(found, theta, atol=2e-2, rtol=0)


def test_landmarks_in_doubt_leave_the_ear_in_its_box():
    branch = random_branch()
    theta = torch.tensor([[[0.2, -0.9, 0.5], [0.9, 0.2, 0.5]]])
    torch.testing.assert_close(branch._trust(theta, torch.full((1, 17), 2.0))[0], branch.box_theta, atol=1e-3, rtol=0)
    torch.testing.assert_close(branch._trust(theta, torch.full((1, 17), 0.01)), theta, atol=1e-3, rtol=0)


def test_colour_does_not_reach_the_embedding():
    branch, crops = random_branch(), torch.from_numpy(golden_crops())
    grey = (to_grey(crops)[:, 0, :, :, None] * 255).round().expand(-1, -1, -1, 3).to(torch.uint8)
    with torch.inference_mode():
        assert float((branch(crops) * branch(grey)).sum(1).min()) > 0.98
        assert torch.allclose(branch(crops).norm(dim=1), torch.ones(len(crops)))


def test_a_branch_is_saved_and_loaded_with_its_facts(tmp_path):
    record = TrainedOn(Digests(frozenset([b"8 bytes."]), frozenset()), Digests.of((), ()), nameless=False)
    save_branch(random_branch(16), tmp_path / "embedding.pt", {"people": 3}, record)
    loaded, config, trained_on = load_branch(tmp_path / "embedding.pt")
    assert config["people"] == 3
    assert trained_on == record
    with torch.inference_mode():
        assert loaded(torch.from_numpy(golden_crops())).shape == (6, 16)


def test_a_branch_of_another_geometry_is_refused(tmp_path, monkeypatch):
    save_branch(random_branch(16), tmp_path / "embedding.pt")
    monkeypatch.setattr("training.embedding.branch.GEOMETRY", {"looks": [[5.0, 1.0, 1.0]], "reach": [0.62, 0.93]})
    with pytest.raises(CheckpointError, match="another looks"):
        load_branch(tmp_path / "embedding.pt")


def test_a_file_that_is_no_branch_is_refused(tmp_path):
    torch.save({"weights": 1}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="not an embedding branch"):
        load_branch(tmp_path / "x.pt")


@pytest.mark.parametrize("fit", [fit_head, adapt_head])
def test_the_projection_learns_whom_to_tell_apart(fit):
    rng = np.random.default_rng(0)
    people = golden_crops()
    crops = np.concatenate(
        [np.clip(people + rng.normal(0, 20, people.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    )
    fitted = fit(random_branch(64), crops, list(range(6)) * 4)
    with torch.inference_mode():
        vectors = fitted(torch.from_numpy(crops)).numpy().reshape(4, 6, -1)
    alike = np.einsum("apd,bqd->abpq", vectors, vectors).mean((0, 1))
    assert alike.diagonal().min() > alike[~np.eye(6, dtype=bool)].max() + 0.3
    with pytest.raises(DataError, match="are too few"):
        fit(random_branch(64), people, list(range(6)))
