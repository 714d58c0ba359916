"""A loaded bundle: crops in, vectors and pictures out, every byte as stated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import bundle.model
import bundle.runtimes
from bundle.errors import ChecksumError, ContractError, GoldenMismatch, RuntimeUnavailable
from bundle.golden import golden_crops
from bundle.manifest import FileEntry, Manifest, Variant, read_manifest, write_manifest
from bundle.model import EarModel, choose_variant, load


@pytest.fixture(scope="module")
def model(bundle_folder: Path) -> EarModel:
    return load(bundle_folder, threads=1)


def republish(folder: Path, **changes) -> None:
    """Write the manifest again, with files as they now are: what a broken export would leave."""
    manifest = read_manifest(folder)
    files = {name: FileEntry.of(folder / name).model_dump() for name in manifest.files}
    write_manifest(folder, Manifest.model_validate(manifest.values() | {"files": files} | changes))


def test_a_bundle_loads_passes_its_golden_check_and_says_what_it_is(model: EarModel) -> None:
    assert (model.runtime, model.precision, model.latent_dim) == ("onnxruntime-cpu", "fp32", 32)
    assert model.space_id == model.manifest.space_id
    assert model.bundle_id.startswith("bd_")
    assert model.requested == "auto"
    assert all(": " in reason for reason in model.passed_over)
    assert model.check_golden().embedding_cosine > 0.99999


def test_crops_go_in_and_come_back_as_pictures(model: EarModel) -> None:
    crops = golden_crops()
    encoding = model.encode(crops)
    assert encoding.mu.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(encoding.embedding, axis=1), 1, rtol=1e-5)
    pictures = model.decode(encoding.mu)
    assert pictures.shape == crops.shape
    assert pictures.dtype == np.uint8


def test_auto_says_why_each_faster_runtime_does_not_answer(bundle_folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(bundle.model, "unavailable", lambda: ["tensorrt: no NVIDIA driver is installed"])
    monkeypatch.setattr(bundle.model, "candidates", lambda: ("onnxruntime-cuda", "onnxruntime-cpu"))
    with load(bundle_folder, threads=1) as model:
        assert (model.requested, model.runtime) == ("auto", "onnxruntime-cpu")
        assert model.passed_over[0].startswith("tensorrt: ")
        assert model.passed_over[1].startswith("onnxruntime-cuda: ")
    with load(bundle_folder, "onnxruntime-cpu", threads=1) as model:
        assert (model.requested, model.passed_over) == ("onnxruntime-cpu", ())


def test_a_machine_with_a_driver_and_the_build_for_cpus_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(bundle.runtimes, "candidates", lambda: ("onnxruntime-cpu",))
    monkeypatch.setattr(bundle.runtimes, "driver_fault", lambda: None)
    assert "the build for CPUs: pip uninstall -y onnxruntime" in bundle.runtimes.unavailable()[-1]
    monkeypatch.setattr(bundle.runtimes, "driver_fault", lambda: "no NVIDIA driver is installed")
    assert not any(reason.startswith("onnxruntime-cuda") for reason in bundle.runtimes.unavailable())


@pytest.mark.parametrize("shape", [(128, 128, 3), (1, 64, 64, 3), (0, 128, 128, 3), (1, 3, 128, 128)])
def test_crops_of_another_shape_are_refused(model: EarModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ContractError, match=r"needed is \(B, 128, 128, 3\) uint8"):
        model.encode(np.zeros(shape, np.uint8))


def test_an_embedding_is_not_decoded_and_the_hint_names_mu(model: EarModel) -> None:
    encoding = model.encode(golden_crops())
    with pytest.raises(ContractError, match="latent 0 has length 1: is it an embedding\\? The decoder takes `mu`"):
        model.decode(encoding.embedding)
    with pytest.raises(ContractError, match="length 1"):
        model.decode(encoding.embedding.round(4))  # as it comes out of a JSON file


def test_latents_of_another_size_or_not_finite_are_refused(model: EarModel) -> None:
    with pytest.raises(ContractError, match=r"\(2, 31\); needed is \(B, 32\)"):
        model.decode(np.zeros((2, 31), np.float32))
    latents = np.ones((3, 32), np.float32) * 2
    latents[1, 5] = np.nan
    with pytest.raises(ContractError, match="latent 1 is not finite"):
        model.decode(latents)


def test_one_changed_byte_is_refused_with_its_file(copied: Path) -> None:
    data = bytearray((copied / "decoder.onnx").read_bytes())
    data[100] ^= 1
    (copied / "decoder.onnx").write_bytes(data)
    with pytest.raises(ChecksumError, match=r"decoder\.onnx was changed"):
        load(copied)


def test_a_graph_with_swapped_channels_fails_the_golden_check(copied: Path) -> None:
    graph = onnx.load(copied / "encoder.onnx")
    turned = next(node for node in graph.graph.node if node.op_type == "Transpose")
    flip = onnx.helper.make_node("Gather", ["image", "swap"], ["swapped"], axis=3)
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 1, 0]), "swap"))
    graph.graph.node.insert(0, flip)
    graph.graph.node[1].input[0] = "swapped"
    assert turned.op_type == "Transpose"
    onnx.save(graph, copied / "encoder.onnx")
    republish(copied)
    with pytest.raises(GoldenMismatch, match="embedding_cosine"):
        load(copied).check_golden()


def test_a_graph_that_breaks_the_contract_is_refused_when_loaded(copied: Path) -> None:
    contract = json.loads(json.dumps(read_manifest(copied).values()["tensors"]))
    contract["encoder"]["outputs"][0]["shape"] = ["batch", 1024]
    republish(copied, tensors=contract)
    with pytest.raises(ContractError, match=r"encoder\.onnx: outputs are"):
        load(copied)


def test_a_precision_that_is_not_there_is_answered_with_those_that_are(bundle_folder: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="no encoder at precision 'fp16'; it has: fp32"):
        load(bundle_folder, precision="fp16")


def test_the_exporters_default_for_a_runtime_wins(bundle_folder: Path) -> None:
    manifest = read_manifest(bundle_folder)
    fp32 = Variant(graph="encoder", precision="fp32", file="encoder.onnx")
    fp16 = Variant(graph="encoder", precision="fp16", file="encoder.onnx")
    both = manifest.model_copy(update={"variants": [fp16, fp32]})
    assert choose_variant(both, "encoder", "onnxruntime-cpu").precision == "fp32"
    assert choose_variant(both, "encoder", "onnxruntime-cuda").precision == "fp16"
    assert choose_variant(both, "encoder", "onnxruntime-cuda", "fp32").precision == "fp32"
    measured = fp16.model_copy(update={"default_for": ["onnxruntime-cpu"]})
    chosen = choose_variant(manifest.model_copy(update={"variants": [measured, fp32]}), "encoder", "onnxruntime-cpu")
    assert chosen.precision == "fp16"


def test_a_precision_without_its_own_decoder_uses_the_one_there_is(copied: Path) -> None:
    variants = [variant.model_dump() for variant in read_manifest(copied).variants]
    republish(copied, variants=[*variants, variants[0] | {"precision": "fp16", "default_for": []}])
    model = load(copied, precision="fp16")
    assert model.precision == "fp16"
    assert model.check_golden().psnr_db > 48


def test_a_closed_model_does_not_run(bundle_folder: Path) -> None:
    with load(bundle_folder, threads=1) as model:
        model.encode(golden_crops())
    with pytest.raises(ContractError, match="closed"):
        model.encode(golden_crops())
