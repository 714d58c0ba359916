"""The model repository that Triton would load: its text format, its versions, its names, and what the graphs give."""

import json
import re
from dataclasses import replace
from pathlib import Path

import onnxruntime as ort
import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

import ear_teacher
from bundle.errors import ChecksumError
from bundle.manifest import read_manifest
from export.errors import OptionError
from export.triton import TritonOptions, write_repository
from serve.oip.models import __file__ as oip_models

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"


def config(repository, name):
    """As Triton reads it: an unknown field or a wrong type is an error."""
    return text_format.Parse((repository / name / "config.pbtxt").read_text(), ModelConfig())


@pytest.fixture(scope="module")
def repository(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    assert write_repository(exported, folder, TritonOptions()) == {"ear-encoder": 1, "ear-decoder": 1}
    return folder


def test_triton_reads_the_configuration(repository, exported):
    encoder, decoder = config(repository, "ear-encoder"), config(repository, "ear-decoder")
    assert (encoder.name, encoder.backend, encoder.max_batch_size) == ("ear-encoder", "onnxruntime", 32)
    assert [(tensor.name, list(tensor.dims)) for tensor in encoder.input] == [("image", [32, 32, 3])]
    assert encoder.input[0].data_type != decoder.input[0].data_type
    assert [tensor.name for tensor in encoder.output] == ["embedding", "mu", "logvar"]
    assert [list(tensor.dims) for tensor in encoder.output] == [[16]] * 3
    assert list(encoder.dynamic_batching.preferred_batch_size) == [8, 32]
    assert encoder.dynamic_batching.max_queue_delay_microseconds == 2000
    assert [warm.batch_size for warm in encoder.model_warmup] == [1, 8, 32]
    assert encoder.model_warmup[0].inputs["image"].random_data
    assert encoder.parameters["space_id"].string_value == read_manifest(exported).space_id
    assert encoder.instance_group[0].Kind.Name(encoder.instance_group[0].kind) == "KIND_AUTO"


def test_the_files_are_those_of_the_bundle_and_onnx_runtime_loads_them(repository, exported, crops):
    placed = repository / "ear-encoder" / "1"
    assert sorted(path.name for path in placed.iterdir()) == ["manifest.json", "model.onnx"]
    assert (placed / "model.onnx").read_bytes() == (exported / "encoder.fp16.onnx").read_bytes()
    session = ort.InferenceSession(str(placed / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = config(repository, "ear-encoder")
    assert [node.name for node in session.get_inputs()] == [tensor.name for tensor in wanted.input]
    outputs = session.run([tensor.name for tensor in wanted.output], {"image": crops[:3]})
    assert [output.shape for output in outputs] == [(3, 16)] * 3


def test_another_bundle_becomes_the_next_version_and_the_same_one_none(exported, tmp_path):
    cpu = TritonOptions(device="cpu")
    assert write_repository(exported, tmp_path, cpu)["ear-encoder"] == 1
    assert write_repository(exported, tmp_path, cpu)["ear-encoder"] == 1
    assert write_repository(exported, tmp_path, replace(cpu, precision="fp16"))["ear-encoder"] == 2
    assert sorted(path.name for path in (tmp_path / "ear-encoder").iterdir()) == ["1", "2", "config.pbtxt"]
    latest = config(tmp_path, "ear-encoder")
    assert latest.parameters["precision"].string_value == "fp16"
    assert latest.version_policy.latest.num_versions == 2
    assert json.loads((tmp_path / "ear-encoder" / "2" / "manifest.json").read_text())["bundle_id"]


def test_tensorrt_keeps_the_types_of_the_file_and_caches_where_it_may_write(exported, tmp_path):
    write_repository(exported, tmp_path, TritonOptions(device="gpu", tensorrt=True, batches=(4,)))
    (accelerator,) = config(tmp_path, "ear-decoder").optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert accelerator.parameters["precision_mode"] == "FP32"
    assert accelerator.parameters["trt_engine_cache_path"].startswith("/tmp/")
    assert accelerator.parameters["trt_profile_max_shapes"] == "latent:4x16"


def test_a_bundle_that_was_changed_is_not_copied(exported, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in exported.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "decoder.onnx").write_bytes(b"x" * (exported / "decoder.onnx").stat().st_size)
    with pytest.raises(ChecksumError):
        write_repository(folder, tmp_path / "models", TritonOptions())
    assert not (tmp_path / "models").exists()


def test_names_and_paths_are_those_of_the_manifests_and_of_the_service(repository):
    (deployment,) = yaml.safe_load_all((KUBERNETES / "triton" / "deployment.yaml").read_text())
    (box,) = deployment["spec"]["template"]["spec"]["containers"]
    (flag,) = [argument for argument in box["args"] if argument.startswith("--model-repository=")]
    mounts = {mount["mountPath"]: mount for mount in box["volumeMounts"]}
    assert mounts[flag.partition("=")[2]]["name"] == "models"
    assert "/tmp" in mounts, "engines are cached there"
    (service,) = yaml.safe_load_all((KUBERNETES / "kserve" / "inference-service.yaml").read_text())
    assert service["spec"]["predictor"]["model"]["storageUri"].endswith("/"), "the volume's root is the repository"
    shown = re.findall(r'OipModel\("(ear-(?:en|de)coder)"', Path(oip_models).read_text())
    assert set(shown) == {path.name for path in repository.iterdir()}


def test_the_command_tells_what_it_wrote(exported, tmp_path, capsys):
    command = ["triton", str(exported), "--out", str(tmp_path / "models"), "--device", "cpu", "--batches", "1,4"]
    assert ear_teacher.main(command) == 0
    out = capsys.readouterr().out
    assert "ear-encoder: version 1" in out
    assert "tritonserver --model-repository=" in out
    assert config(tmp_path / "models", "ear-encoder").parameters["precision"].string_value == "fp32"


def test_the_command_refuses_what_cannot_be(exported, tmp_path, capsys):
    command = ["triton", str(exported), "--out", str(tmp_path / "models")]
    assert ear_teacher.main([*command, "--device", "cpu", "--tensorrt"]) == 2
    assert "--tensorrt needs a GPU" in capsys.readouterr().err
    assert ear_teacher.main([*command, "--precision", "fp8"]) == 2
    assert "no encoder at precision 'fp8'" in capsys.readouterr().err
    with pytest.raises(OptionError, match="growing sizes"):
        TritonOptions(batches=(8, 1))
