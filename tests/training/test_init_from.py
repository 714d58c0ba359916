"""Runs that start from other networks: the shipped bundle rebuilt, and what does not fit."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import ear_teacher
from bundle.manifest import read_manifest
from export.graph.attention import attention_form
from export.graph.rewrite import rewrite
from export.parity.variants import write_variant
from tests.training.few_ears import few_ears
from tests.training.shapes import MICRO
from training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from training.command_train import config_from
from training.data.dataset import to_unit
from training.errors import CheckpointError, ConfigError
from training.init_from import load_networks, rebuild, settle_batch_norms, shape_of
from training.networks.vae import EarVAE
from training.presets import preset

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "demo" / "bundle"


@pytest.fixture(scope="module")
def shipped():
    model = EarVAE(shape_of(SHIPPED))
    load_networks(model, SHIPPED)
    return model.eval()


def outputs(model, crops):
    with torch.no_grad():
        mu, logvar = model.encoder(to_unit(torch.from_numpy(crops)))
        return {"mu": mu, "logvar": logvar, "embedding": model.identity(mu), "picture": model.decoder(mu)}


def test_shipped_bundle_becomes_the_networks_that_made_its_golden_outputs(shipped):
    """As near as the bundle's own golden check asks of a runtime: its weights are stored in half precision."""
    golden = np.load(SHIPPED / "golden.npz")
    made = outputs(shipped, golden["crops"])
    cosine = torch.cosine_similarity(made["mu"], torch.from_numpy(golden["mu"]))
    assert cosine.min() > 0.9999
    error = made["picture"] - to_unit(torch.from_numpy(golden["image"]))
    assert error.abs().max() < 0.02


def test_settled_batch_norms_compute_the_same_and_know_the_pictures(shipped):
    model = EarVAE(shipped.config)
    model.load_state_dict(shipped.state_dict())
    crops = np.load(SHIPPED / "golden.npz")["crops"]
    before = outputs(model.eval(), crops)
    settle_batch_norms(model, to_unit(torch.from_numpy(crops)))
    for name, value in outputs(model, crops).items():
        torch.testing.assert_close(value, before[name], atol=1e-3, rtol=1e-3)
    # Training mode normalises by the batch: these very pictures, so nothing jumps at the first step.
    with torch.no_grad():
        trained = model.train().decoder(before["mu"]).clamp(-1, 1)
    assert (trained - before["picture"]).abs().mean() < 0.02


def test_a_picture_kept_as_cosine_frequencies_comes_back_from_its_graphs(tmp_path):
    config = replace(MICRO, latent_dim=64, picture_rank=56, picture_basis="cosines")
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(20, 3, 32, 32, generator=generator) * 2 - 1
    model = EarVAE(config).eval()
    model.start_from_pictures(pictures)
    with torch.no_grad():  # tensors that are equal, as at the start, are stored once in a graph
        for parameter in filter(lambda parameter: parameter.requires_grad, model.parameters()):
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    rewritten = rewrite(model, attention_form("fp32", 20, False))
    for graph in ("encoder", "decoder"):
        write_variant(rewritten, graph, "fp32", tmp_path, 20, ())
    again = EarVAE(config).eval()
    again.load_state_dict(rebuild(tmp_path, config))
    with torch.no_grad():
        torch.testing.assert_close(again(pictures).mu, model(pictures).mu, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(again(pictures).reconstruction, model(pictures).reconstruction, atol=1e-3, rtol=0)


def test_provenance_names_the_bundle(shipped):
    made = load_networks(EarVAE(shipped.config), SHIPPED)
    assert made["kind"] == "bundle"
    assert made["space_id"].startswith("sp_")
    assert made["provenance"]["train_subjects"] == 480


def test_shape_comes_from_the_source_and_flags_that_disagree_are_named():
    config = config_from({"data": Path("ears"), "init_from": SHIPPED})
    assert config.model == preset("tiny", picture_basis="cosines", picture_rank=960)
    assert config.sam_weights is None
    frozen = config_from({"data": Path("ears"), "init_from": SHIPPED, "freeze_layers": 1})
    assert frozen.model.freeze_layers == 1
    for name, value in (
        ("preset", "teacher"), ("latent_dim", 64), ("sam_size", 224), ("image_size", 64), ("picture_rank", 8),
        ("picture_basis", "components"),
    ):  # fmt: skip
        flag = "--" + name.replace("_", "-")
        with pytest.raises(ConfigError, match=f"{flag} {value}: --init-from .* has .*; leave {flag} out"):
            config_from({"data": Path("ears"), "init_from": SHIPPED, name: value})


def test_two_ways_to_start_exclude_each_other():
    with pytest.raises(ConfigError, match="exclude each other"):
        config_from({"data": Path("ears"), "init_from": SHIPPED, "sam_weights": "folder"})


def test_what_is_neither_checkpoint_nor_bundle_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"give a checkpoint \(model.ckpt\) or a bundle's folder"):
        shape_of(tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        shape_of(tmp_path / "absent.ckpt")


def test_graph_whose_patches_are_folded_with_the_upsampling_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be undone; give the checkpoint"):
        rebuild(tmp_path, preset("teacher", sam_size_px=448))


def test_bundle_of_another_form_is_refused(tmp_path, shipped):
    shutil.copytree(SHIPPED, tmp_path / "bundle")
    (tmp_path / "bundle" / "decoder.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"has no float32 decoder\.onnx"):
        rebuild(tmp_path / "bundle", shipped.config)


def test_tensors_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "model.ckpt"
    state = EarVAE(MICRO).state_dict()
    state["identity.weight"] = torch.zeros(2, 2)
    write_checkpoint(path, Checkpoint(MICRO, state))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_networks(EarVAE(MICRO), path)


def test_printed_configuration_reproduces_the_run(ears, tmp_path, capsys):
    flags = ["--data", str(ears), "--preset", "tiny", "--perceptual-weight", "0", "--epochs", "3", "--views", "1"]
    assert ear_teacher.main(["train", *flags, "--print-config"]) == 0
    file = tmp_path / "run.yaml"
    file.write_text(capsys.readouterr().out)
    given = config_from({"config": file})
    assert given.to_dict() == yaml.safe_load(file.read_text()) | {"resume": None, "stop_after_epochs": None}
    assert config_from({"config": file, "epochs": 7}).epochs == 7


def test_own_yaml_takes_flags_by_name(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("data: ears\npreset: tiny\nbatch-size: 16\nperceptual_weight: 0\n")
    config = config_from({"config": file})
    assert (config.data, config.batch_size, config.losses.perceptual) == (Path("ears"), 16, 0)
    file.write_text("data: ears\nlearning_rate: 3\n")
    with pytest.raises(ConfigError, match="learning_rate: no such flag"):
        config_from({"config": file})
    file.write_text("- data\n")
    with pytest.raises(ConfigError, match="holds a list"):
        config_from({"config": file})
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        config_from({"config": tmp_path / "absent.yaml"})


@pytest.mark.slow
def test_shipped_model_adapts_to_other_people_by_one_command(tmp_path):
    """In a fresh process, on a few of the demo's ears, through export; its aligned embedding comes along."""
    data = few_ears(tmp_path, {"train": 16, "val": 6}, pictures=4)
    flags = ["--data", str(data), "--out", str(tmp_path / "run"), "--batch-size", "32", "--views", "1"]
    flags += ["--decode-every", "4", "--perceptual-weight", "0", "--identity", "subject", "--identity-head", "fitted"]
    bundle = tmp_path / "bundle"
    said = ""
    for command in (
        ["train", "--init-from", "demo/bundle", *flags, "--epochs", "2", "--num-workers", "0"],
        ["export", str(tmp_path / "run" / "model.ckpt"), "--out", str(bundle), "--crops", str(data),
         "--precision", "fp32", "--parity-crops", "8"],
    ):  # fmt: skip
        done = subprocess.run([sys.executable, "ear_teacher.py", *command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said += done.stderr
    assert "the aligned branch of demo/bundle goes into the new model" in said
    made = read_checkpoint(tmp_path / "run" / "model.ckpt")
    assert made.provenance["init_from"]["name"] == "bundle"
    assert made.metrics["val_psnr"] > 25  # from random weights, two epochs come to about 20
    manifest, shipped = read_manifest(bundle), read_manifest(SHIPPED)
    assert manifest.preset == "tiny"
    assert manifest.training["embedding"]["people"] == shipped.training["embedding"]["people"]
    assert manifest.training["calibrated_on"]["trained_on"].startswith("None of the 6 people were trained on")
    own, expected = (np.load(folder / "golden.npz")["embedding"] for folder in (bundle, SHIPPED))
    np.testing.assert_allclose(own, expected[: len(own)], atol=2e-3)
