"""The aligned embedding in a bundle: in the encoder's graph, golden outputs and space; everything else as it was."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.errors import GoldenMismatch
from bundle.golden import check_encoder, golden_crops
from bundle.manifest import read_manifest, verify_files
from bundle.model import load
from bundle.runtimes import open_session
from bundle.tensorrt.build import BuildOptions, build_plan
from bundle.tensorrt.flavour import load_flavour
from export.crops import Crops
from export.embedding import attach_branch
from export.errors import GraphError, TargetExists
from export.graph.onnx_export import GraphSpec, export_onnx
from export.triton import TritonOptions, config_text
from tests.training.embedding.branches import random_branch
from training.embedding.carried import branch_of

NOBODY = "None of the 6 people were trained on."
DEMO = Path(__file__).parents[2] / "demo" / "bundle"


@pytest.fixture(scope="module")
def noisy_crops() -> Crops:
    rng = np.random.default_rng(0)
    people = golden_crops()
    noisy = [np.clip(people + rng.normal(0, 12, people.shape), 0, 255).astype(np.uint8) for _ in range(3)]
    return Crops(np.concatenate(noisy), tuple(range(6)) * 3, exposure=NOBODY, held_out=True)


@pytest.fixture(scope="module")
def attached(noisy_crops, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "aligned"
    attach_branch(DEMO, folder, random_branch(), {"people": 3}, noisy_crops)
    return folder


def test_the_bundle_is_whole_and_reproduces_its_golden_outputs(attached):
    manifest = read_manifest(attached)
    verify_files(attached, manifest)
    with load(attached, "onnxruntime-cpu") as model:
        assert model.check_golden().embedding_cosine > 0.99999
    assert all(row["passed"] for row in manifest.parity["rows"])


def test_the_embedding_is_the_branchs_and_mu_is_the_old_one(attached, noisy_crops):
    with load(attached, "onnxruntime-cpu") as model, load(DEMO, "onnxruntime-cpu") as old, torch.inference_mode():
        encoding, before = model.encode(noisy_crops.pixels[:5]), old.encode(noisy_crops.pixels[:5])
        np.testing.assert_allclose(
            encoding.embedding, random_branch()(torch.from_numpy(noisy_crops.pixels[:5])), atol=1e-4
        )
        np.testing.assert_allclose(encoding.mu, before.mu, atol=1e-5)
        np.testing.assert_allclose(encoding.logvar, before.logvar, atol=1e-5)


def test_the_encoder_says_how_sure_it_is_of_the_ear(attached, noisy_crops):
    manifest = read_manifest(attached)
    assert [tensor.name for tensor in manifest.tensors["encoder"].outputs] == ["embedding", "mu", "logvar", "spread"]
    rows = [row for row in manifest.parity["rows"] if row["graph"] == "encoder"]
    assert all(0 <= row["spread_error"] < 0.005 for row in rows)
    with load(attached, "onnxruntime-cpu") as model, torch.inference_mode():
        spread = model.encode(noisy_crops.pixels).spread
        expected = random_branch().embed(torch.from_numpy(noisy_crops.pixels))[1].numpy()
        np.testing.assert_allclose(spread, expected, rtol=0.005)
        assert manifest.ear_spread.median == pytest.approx(float(np.median(spread)), rel=0.005)
    text = config_text(manifest, "encoder", manifest.variants[0], TritonOptions())
    assert '{ name: "spread", data_type: TYPE_FP32, dims: [ 1 ], reshape: { shape: [ ] } }' in text


def test_a_spread_unlike_the_golden_one_is_refused(attached, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(attached, folder)
    with np.load(folder / "golden.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez_compressed(folder / "golden.npz", **(arrays | {"spread": 1.1 * arrays["spread"]}))
    session = open_session(folder / "encoder.onnx", "onnxruntime-cpu")
    with pytest.raises(GoldenMismatch, match="spread_ratio"):
        check_encoder(session, folder)
    session.close()


def test_a_branch_with_an_identity_network_is_attached_and_comes_back(noisy_crops, tmp_path):
    branch = random_branch(has_identity=True)
    shipped = branch_of(DEMO).branch
    branch.coarse, branch.fine = shipped.coarse, shipped.fine
    attach_branch(DEMO, tmp_path / "new", branch, {}, noisy_crops)
    back = branch_of(tmp_path / "new").branch
    torch.testing.assert_close(back.identity.state_dict(), branch.identity.state_dict())
    with torch.inference_mode():
        pixels = torch.from_numpy(noisy_crops.pixels)
        torch.testing.assert_close(back(pixels), branch(pixels), atol=1e-5, rtol=0)


def test_vectors_of_another_branch_live_in_another_space(attached, noisy_crops, tmp_path):
    old, new = read_manifest(DEMO), read_manifest(attached)
    assert new.space_id != old.space_id
    assert new.training["embedding"]["people"] == 3
    other = random_branch()
    other.centre.add_(0.01)
    again = attach_branch(attached, tmp_path / "again", other, {}, noisy_crops)
    assert again.space_id not in (old.space_id, new.space_id)
    assert again.training["embedding"]["mu_space_id"] == new.training["embedding"]["mu_space_id"]
    assert again.files["encoder.onnx"].size_bytes < new.files["encoder.onnx"].size_bytes * 1.01


def test_figures_and_calibration_are_the_new_embeddings(attached):
    old, new = read_manifest(DEMO), read_manifest(attached)
    assert new.training["metrics"]["psnr_db"] == old.training["metrics"]["psnr_db"]
    assert new.training["metrics"]["rank1"] == 1.0
    assert new.calibration != old.calibration
    assert new.calibration["calibrated_on"] == "comparison crops: 18 pictures of 6 people"
    assert new.training["calibrated_on"] == {"pictures": 18, "subjects": 6, "trained_on": NOBODY}


def test_crops_of_people_that_may_have_been_trained_on_leave_no_calibration(attached, noisy_crops, tmp_path):
    """Nor does the bundle keep the one of its embedding before."""
    crops = replace(noisy_crops, exposure="5 of 6 people were trained on.", held_out=False)
    manifest = attach_branch(attached, tmp_path / "new", random_branch(), {}, crops)
    assert manifest.calibration is None
    assert manifest.training["validated_on"] == "5 of 6 people were trained on."
    assert "5 of 6 people were trained on." in (tmp_path / "new" / "MODEL_CARD.md").read_text()
    assert "trained_on.json" not in manifest.files


def test_what_does_not_fit_is_refused(noisy_crops, tmp_path):
    short = random_branch()
    short.project = torch.nn.Linear(short.project.in_features, 16, bias=False)
    with pytest.raises(GraphError, match="the branch takes 128 px and gives 16"):
        attach_branch(DEMO, tmp_path / "new", short, {}, noisy_crops)
    with pytest.raises(TargetExists):
        attach_branch(DEMO, DEMO, random_branch(), {}, noisy_crops)


def test_tensorrt_rtx_builds_the_branch(tmp_path):
    pytest.importorskip("tensorrt_rtx_bindings")
    path = tmp_path / "branch.onnx"
    export_onnx(
        random_branch(has_identity=True),
        GraphSpec("branch", "image", (128, 128, 3), torch.uint8, ("embedding",), 20),
        path,
    )
    options = BuildOptions(batches=(1, 4), target="sm89")
    assert len(build_plan(path, load_flavour("tensorrt-rtx"), "fp32", options).plan) > 1_000_000
