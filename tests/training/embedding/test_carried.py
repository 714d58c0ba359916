"""The aligned embedding of a bundle or a checkpoint is carried into what is made of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.golden import golden_crops
from bundle.manifest import read_manifest
from tests.training.embedding.branches import random_branch
from tests.training.shapes import MICRO
from training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from training.embedding.branch import pack_branch, unpack_branch
from training.embedding.carried import branch_of, carried_branch
from training.errors import CheckpointError
from training.evaluation.model import CheckpointModel
from training.networks.vae import EarVAE
from training.presets import preset

SHIPPED = Path(__file__).parents[3] / "demo" / "bundle"


def test_branch_of_the_shipped_bundle_gives_its_golden_embeddings():
    branch, facts, _ = branch_of(SHIPPED)
    golden = np.load(SHIPPED / "golden.npz")
    with torch.inference_mode():
        np.testing.assert_allclose(branch(torch.from_numpy(golden["crops"])), golden["embedding"], atol=1e-5)
    assert facts["people"] == read_manifest(SHIPPED).training["embedding"]["people"]
    packed = unpack_branch(carried_branch(SHIPPED), SHIPPED)
    assert packed.facts == facts


def test_checkpoint_with_a_branch_is_judged_by_it(tmp_path):
    """Or else evaluation would calibrate an embedding that export does not write."""
    path, shape = tmp_path / "model.ckpt", preset("tiny")
    packed = pack_branch(random_branch(), {"people": 3})
    write_checkpoint(path, Checkpoint(shape, EarVAE(shape).state_dict(), branch=packed))
    assert carried_branch(path)["config"] == packed["config"]
    crops = golden_crops()
    with torch.inference_mode():
        expected = random_branch()(torch.from_numpy(crops))
    np.testing.assert_allclose(CheckpointModel(path).encode(crops).embedding, expected, atol=2e-3)


def test_what_has_no_branch_carries_none(tmp_path):
    path = tmp_path / "model.ckpt"
    write_checkpoint(path, Checkpoint(MICRO, EarVAE(MICRO).state_dict()))
    assert carried_branch(path) is None
    assert read_checkpoint(path).branch is None


def test_graph_that_holds_it_in_another_form_is_refused(monkeypatch):
    monkeypatch.setattr("training.embedding.carried._tensors", lambda path: {"project.weight": torch.zeros(16, 3)})
    with pytest.raises(CheckpointError, match="holds branch/.* in another form"):
        branch_of(SHIPPED)
