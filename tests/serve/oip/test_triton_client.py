"""The real `tritonclient[http]` against a live port."""

import numpy as np
import pytest

from serve.oip.models import EXTENSIONS
from tests.serve.conftest import ear, encoded, mirrored_png, png

triton = pytest.importorskip("tritonclient.http")
from tritonclient.utils import InferenceServerException  # noqa: E402


@pytest.fixture
def client(live):
    with triton.InferenceServerClient(live.removeprefix("http://")) as client:
        yield client


def crops(count):
    return np.stack([ear(seed, size=(128, 128)) for seed in range(count)])


def tensor(name, array, datatype, binary=True):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def test_server_and_models_describe_themselves(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == list(EXTENSIONS)
    assert {entry["name"] for entry in client.get_model_repository_index()} == {
        "ear-encoder",
        "ear-image",
        "ear-decoder",
    }
    for name in ("ear-encoder", "ear-image", "ear-decoder"):
        assert client.is_model_ready(name)
        (version,) = client.get_model_metadata(name)["versions"]
        assert client.is_model_ready(name, version)
        metadata, config = client.get_model_metadata(name, version), client.get_model_config(name)
        assert [edge["name"] for edge in metadata["inputs"]] == [edge["name"] for edge in config["input"]]
        assert [edge["shape"][1:] for edge in metadata["outputs"]] == [edge["dims"] for edge in config["output"]]
        assert config["max_batch_size"] > 0


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_uint8_pictures_are_encoded_binary_and_as_json(client, binary_in, binary_out):
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("mu", "embedding")]
    result = client.infer(
        "ear-encoder", [tensor("image", crops(2), "UINT8", binary_in)], outputs=outputs, request_id="7"
    )
    assert result.get_response()["id"] == "7"
    assert [output["name"] for output in result.get_response()["outputs"]] == ["mu", "embedding"]
    assert result.as_numpy("embedding").shape == (2, 1024)
    np.testing.assert_allclose(np.linalg.norm(result.as_numpy("embedding"), axis=1), 1.0, atol=1e-5)


def test_all_outputs_come_binary_where_none_is_named(client):
    result = client.infer("ear-encoder", [tensor("image", crops(1), "UINT8")])
    for name in ("embedding", "mu", "logvar"):
        assert result.as_numpy(name).shape == (1, 1024)
        assert result.get_output(name)["parameters"]["binary_data_size"] == 4096


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compressed_both_ways(client, compression, binary):
    plain = client.infer("ear-encoder", [tensor("image", crops(2), "UINT8")])
    packed = client.infer(
        "ear-encoder",
        [tensor("image", crops(2), "UINT8", binary)],
        outputs=[triton.InferRequestedOutput("embedding", binary_data=binary)],
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )
    np.testing.assert_allclose(packed.as_numpy("embedding"), plain.as_numpy("embedding"), atol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_whole_files_are_embedded(client, shape):
    files = np.array([png(1), encoded(ear(2), "JPEG")], dtype=object).reshape(shape)
    result = client.infer("ear-image", [tensor("image", files, "BYTES")])
    assert result.as_numpy("embedding").shape == (2, 1024)


def test_whole_files_are_embedded_from_json_as_base64(client):
    import base64

    text = np.array([base64.b64encode(png(1))], dtype=object)
    by_json = client.infer("ear-image", [tensor("image", text, "BYTES", binary=False)]).as_numpy("embedding")
    raw = client.infer("ear-image", [tensor("image", np.array([png(1)], dtype=object), "BYTES")]).as_numpy("embedding")
    np.testing.assert_allclose(by_json, raw, atol=1e-6)


def test_a_parameter_says_the_side(client):
    def embedded(data, side):
        sent = tensor("image", np.array([data], dtype=object), "BYTES")
        return client.infer("ear-image", [sent], parameters={"side": side}).as_numpy("embedding")

    np.testing.assert_allclose(embedded(png(1), "right"), embedded(mirrored_png(1), "left"), atol=1e-3)


@pytest.mark.parametrize("binary", [True, False])
def test_fp32_latents_are_decoded(client, binary):
    mu = client.infer("ear-encoder", [tensor("image", crops(2), "UINT8")]).as_numpy("mu").astype(np.float32)
    result = client.infer("ear-decoder", [tensor("latent", mu, "FP32", binary)])
    assert result.as_numpy("image").shape == (2, 128, 128, 3)
    assert result.as_numpy("image").dtype == np.uint8


def test_a_raw_body_without_json_is_one_picture(live):
    import httpx

    answer = httpx.post(
        f"{live}/v2/models/ear-image/infer", content=png(1), headers={"Inference-Header-Content-Length": "0"}
    )
    assert answer.status_code == 200
    length = int(answer.headers["Inference-Header-Content-Length"])
    assert len(answer.content) - length == 3 * 4096


WRONG = {
    "an unknown model": ("ear-nose", lambda: tensor("image", crops(1), "UINT8"), "unknown model"),
    "a wrong name": ("ear-encoder", lambda: tensor("picture", crops(1), "UINT8"), "'image'"),
    "a wrong type": ("ear-encoder", lambda: tensor("image", crops(1).astype(np.float32), "FP32"), "UINT8"),
    "a wrong shape": ("ear-encoder", lambda: tensor("image", crops(1)[:, :64].copy(), "UINT8"), "shape"),
    "no batch": ("ear-encoder", lambda: tensor("image", crops(1)[:0], "UINT8"), "batch"),
    "a batch too large": (
        "ear-decoder",
        lambda: tensor("latent", np.ones((65, 1024), np.float32), "FP32"),
        "batch of 65",
    ),
    "a unit latent": ("ear-decoder", lambda: tensor("latent", np.eye(1, 1024, dtype=np.float32), "FP32"), "`mu`"),
    "no picture": ("ear-image", lambda: tensor("image", np.array([b"no"], object), "BYTES"), "not a picture"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told(client, case):
    model, sent, words = WRONG[case]
    with pytest.raises(InferenceServerException, match=words):
        client.infer(model, [sent()])


def test_a_wrong_version_and_output_are_told(client):
    with pytest.raises(InferenceServerException, match="no version"):
        client.get_model_metadata("ear-encoder", "9")
    wanted = [triton.InferRequestedOutput("nose")]
    with pytest.raises(InferenceServerException, match="no output"):
        client.infer("ear-encoder", [tensor("image", crops(1), "UINT8")], outputs=wanted)


def test_statistics_have_every_key_that_perf_analyzer_reads(client):
    client.infer("ear-encoder", [tensor("image", crops(2), "UINT8")])
    (stats,) = client.get_inference_statistics("ear-encoder")["model_stats"]
    assert stats["inference_count"] >= 2
    assert stats["execution_count"] >= 1
    names = ("success", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
    for name in names:
        assert set(stats["inference_stats"][name]) == {"count", "ns"}
    assert stats["inference_stats"]["compute_infer"]["ns"] > 0
    assert {entry["name"] for entry in client.get_inference_statistics()["model_stats"]} >= {"ear-encoder"}


def test_many_at_once_each_get_their_own_answer(live):
    with triton.InferenceServerClient(live.removeprefix("http://"), concurrency=8) as client:
        sent = [client.async_infer("ear-encoder", [tensor("image", crops(8)[n : n + 1], "UINT8")]) for n in range(8)]
        together = np.concatenate([one.get_result().as_numpy("embedding") for one in sent])
        alone = client.infer("ear-encoder", [tensor("image", crops(8), "UINT8")]).as_numpy("embedding")
    np.testing.assert_allclose(together, alone, atol=1e-5)
