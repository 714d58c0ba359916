"""The bundle that an export leaves behind, and what it leaves when the parity judge refuses."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.errors import ContractError
from bundle.fingerprint import space_id
from bundle.framing import Framing
from bundle.manifest import read_manifest, verify_files
from bundle.model import load
from export.config import ExportConfig
from export.errors import NoCrops, OptionError, TargetExists
from export.graph.wrappers import EncoderGraph
from export.parity import judge, variants
from export.parity.judge import ParityError
from export.write import encoder_architecture, encoder_tensors, export_bundle

FP32 = ExportConfig(precisions=("fp32",), parity_crops=4, max_batch=4)


@pytest.fixture
def files_at_hand(exported, monkeypatch):
    """Exporting anew takes seconds a graph: take the files of the shared bundle, which are of the same checkpoint."""

    def take(rewritten, graph, precision, folder, opset, keep_float32):
        return Path(shutil.copy(exported / variants.file_name(graph, precision), folder))

    monkeypatch.setattr("export.write.write_variant", take)


def test_the_bundle_is_whole_and_passes_its_own_golden_check(exported):
    manifest = read_manifest(exported)
    verify_files(exported, manifest)
    assert set(manifest.files) == {path.name for path in exported.iterdir()} - {"manifest.json"}
    assert {variant.file for variant in manifest.variants} == {
        "encoder.onnx",
        "encoder.fp16.onnx",
        "decoder.onnx",
        "decoder.fp16.onnx",
    }
    for precision in ("fp32", "fp16"):
        with load(exported, "onnxruntime-cpu", precision) as model:
            assert model.check_golden().embedding_cosine > 0.9999


def test_the_served_model_gives_what_torch_gives(exported, vae, crops):
    with load(exported, "onnxruntime-cpu") as model, torch.inference_mode():
        encoding = model.encode(crops[:5])
        embedding, mu, logvar = EncoderGraph(vae)(torch.from_numpy(crops[:5]))
        for given, expected in ((encoding.embedding, embedding), (encoding.mu, mu), (encoding.logvar, logvar)):
            np.testing.assert_allclose(given, expected.numpy(), atol=2e-5)
        images = vae.decoder(mu).numpy().transpose(0, 2, 3, 1)
        assert np.abs(model.decode(encoding.mu) - (images + 1) * 127.5).max() <= 0.51
        with pytest.raises(ContractError, match="takes `mu`"):
            model.decode(encoding.embedding)


def test_the_manifest_tells_how_it_was_judged(exported):
    manifest = read_manifest(exported)
    rows = manifest.parity["rows"]  # on a machine with a GPU there are those of its runtimes, too
    assert {(row["graph"], row["precision"]) for row in rows} == {
        (graph, precision) for graph in ("encoder", "decoder") for precision in ("fp32", "fp16")
    }
    assert {row["runtime"] for row in rows} >= {"onnxruntime-cpu", "torch-fp16"}
    of_runtime = [row for row in rows if row["graph"] == "encoder" and row["runtime"] == "onnxruntime-cpu"]
    assert {row["batch"] for row in of_runtime} == {1, 3, 32}
    assert manifest.parity["refused"] == []
    assert manifest.parity["limits"]["fp16"]["cosine_min"] == 0.9995
    assert manifest.training["provenance"] == {"seed": 7}
    assert manifest.training["metrics"] == {"val_psnr_db": 21.5}
    assert manifest.calibration is not None
    people = {"pictures": 40, "subjects": 10, "trained_on": "None of the 10 people were trained on."}
    assert manifest.training["calibrated_on"] == people
    encoder = next(row for row in rows if row["crops"] == 40)
    assert encoder["rank1_change"] == 0.0


def test_the_model_card_says_what_the_manifest_says(exported):
    text = (exported / "MODEL_CARD.md").read_text()
    assert "val psnr db: 21.5" in text
    assert read_manifest(exported).space_id in text
    assert "| fp16 | onnxruntime-cpu | 32 | 40 |" in text
    assert "Intended use" in text


def test_eigenears_are_there_for_the_sliders(exported):
    with np.load(exported / "eigenears.npz", allow_pickle=False) as archive:
        assert archive["components"].shape == (16, 16)  # as many as the latent has dimensions
        assert int(archive["count"]) == 40


def test_the_space_is_named_by_encoder_identity_head_and_framing(exported, vae):
    def space(networks, margin=0.1):
        framing = Framing(size_px=32, margin=margin)
        return space_id(encoder_tensors(networks), encoder_architecture(networks.config.to_dict()), framing)

    other_decoder, other_head = copy.deepcopy(vae), copy.deepcopy(vae)
    other_decoder.decoder.to_rgb.bias += 1
    other_head.identity.mean += 0.5
    assert space(vae) == space(other_decoder) == read_manifest(exported).space_id
    assert len({space(vae), space(other_head), space(vae, 0.2)}) == 3


def test_two_exports_of_one_checkpoint_share_the_space(files_at_hand, checkpoint, crops, tmp_path, exported):
    again = export_bundle(checkpoint, tmp_path / "again", crops, config=FP32)
    assert again.space_id == read_manifest(exported).space_id
    assert again.bundle_id != read_manifest(exported).bundle_id


def test_a_refused_variant_is_not_in_the_bundle(files_at_hand, checkpoint, crops, tmp_path, monkeypatch):
    strict = replace(judge.LIMITS["fp16"], cosine_min=1.0, relative_error_max=0.0)
    monkeypatch.setitem(judge.LIMITS, "fp16", strict)
    manifest = export_bundle(checkpoint, tmp_path / "bundle", crops, config=replace(FP32, precisions=("fp32", "fp16")))
    assert manifest.parity["refused"] == ["encoder fp16"]
    blamed = [row["refusals"][-1] for row in manifest.parity["rows"] if not row["passed"]]
    assert any("does not bear float16: encoder.sam" in text for text in blamed)
    assert {variant.file for variant in manifest.variants} == {"encoder.onnx", "decoder.onnx", "decoder.fp16.onnx"}
    assert not (tmp_path / "bundle" / "encoder.fp16.onnx").exists()
    assert load(tmp_path / "bundle", precision="fp32").check_golden().crops == 3


def test_a_refused_float32_graph_leaves_nothing_behind(files_at_hand, checkpoint, crops, tmp_path, monkeypatch):
    strict = replace(judge.LIMITS["fp32"], psnr_min_db=1000.0)
    monkeypatch.setitem(judge.LIMITS, "fp32", strict)
    with pytest.raises(ParityError, match="no bundle was written: decoder at batch 1: PSNR") as caught:
        export_bundle(checkpoint, tmp_path / "bundle", crops, config=FP32)
    assert any(not row.passed for row in caught.value.rows)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_is_replaced_only_by_force(files_at_hand, exported, checkpoint, crops, tmp_path):
    with pytest.raises(TargetExists, match="give --force"):
        export_bundle(checkpoint, exported, crops)
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(TargetExists, match="is not a bundle"):
        export_bundle(checkpoint, target, crops, config=replace(FP32, force=True))
    assert (target / "notes.txt").read_text() == "mine"
    (target / "notes.txt").unlink()
    first = export_bundle(checkpoint, target, crops, config=replace(FP32, force=True))
    link = tmp_path / "current"
    link.symlink_to(target)
    second = export_bundle(checkpoint, link, crops, config=replace(FP32, force=True, parity_crops=5))
    assert read_manifest(target).bundle_id == second.bundle_id != first.bundle_id
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "current"]
    assert link.is_symlink()


def test_too_few_pictures_are_refused(checkpoint, crops, tmp_path):
    with pytest.raises(NoCrops, match="2 pictures; at least 3 different ones are needed"):
        export_bundle(checkpoint, tmp_path / "bundle", crops[:2])


def test_pictures_that_are_all_the_same_are_refused(checkpoint, crops, tmp_path):
    with pytest.raises(ParityError, match="does not vary in torch"):
        export_bundle(checkpoint, tmp_path / "bundle", np.repeat(crops[:1], 5, axis=0), config=FP32)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"precisions": ("fp64",)}, "--precision 'fp64'"),
        ({"precisions": ("fp16",)}, "must name fp32"),
        ({"opset": 12}, "--opset 12: allowed are 18 to 23"),
        ({"parity_crops": 1}, "--parity-crops 1"),
        ({"max_batch": 0}, "--max-batch 0"),
    ],
)
def test_a_choice_that_cannot_work_names_its_flag(wrong, said):
    with pytest.raises(OptionError, match=said):
        ExportConfig(**wrong)


def test_the_manifest_holds_no_path_of_this_machine(exported):
    text = json.dumps(read_manifest(exported).values())
    assert str(exported.parent) not in text
