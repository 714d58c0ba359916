"""The real `tritonclient.grpc` against the gRPC port: the answers, limits and messages are those of `/v2`."""

import threading

import httpx
import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc")
import grpc
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

from serve.errors import ConfigurationError
from serve.oip import grpc_server
from serve.settings import Settings
from tests.serve.conftest import ear, live_server, png, until

KEY = "secret-key"


@pytest.fixture(scope="module")
def address(bundle_folder, tmp_path_factory):
    """A service with keys; its address carries the application, which knows the gRPC port."""
    gallery = tmp_path_factory.mktemp("grpc") / "gallery"
    settings = Settings(bundle=bundle_folder, gallery=gallery, port=0, grpc_port=0, threads=1, api_key=KEY)
    with live_server(settings) as address:
        yield address


@pytest.fixture
def client(address):
    with connected(address) as client:
        yield client


HEADERS = {"authorization": f"Bearer {KEY}"}


def tensor(name, array, datatype):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def test_server_and_models_describe_themselves(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("ear-encoder", headers=HEADERS)
    assert not client.is_model_ready("nose-encoder", headers=HEADERS)
    assert "binary_tensor_data" in client.get_server_metadata().extensions
    metadata = client.get_model_metadata("ear-encoder", headers=HEADERS)
    assert [tuple(edge.shape) for edge in metadata.inputs] == [(-1, 128, 128, 3)]
    assert client.get_model_config("ear-encoder", headers=HEADERS).config.max_batch_size > 0


def test_inference_gives_what_http_gives(client, address):
    crops = np.stack([ear(seed, size=(128, 128)) for seed in range(2)])
    outputs = [triton.InferRequestedOutput("embedding"), triton.InferRequestedOutput("mu")]
    result = client.infer(
        "ear-encoder", [tensor("image", crops, "UINT8")], outputs=outputs, request_id="7", headers=HEADERS
    )
    assert result.get_response().id == "7"
    embedding = result.as_numpy("embedding")
    assert embedding.shape == (2, 1024)
    body = {"inputs": [{"name": "image", "shape": [2, 128, 128, 3], "datatype": "UINT8", "data": crops.tolist()}]}
    http = httpx.post(f"{address}/v2/models/ear-encoder/infer", json=body, headers=HEADERS).json()
    expected = next(output["data"] for output in http["outputs"] if output["name"] == "embedding")
    np.testing.assert_allclose(embedding.ravel(), expected, atol=1e-5)


def test_whole_files_go_in_as_bytes_and_pictures_come_out(client):
    files = np.array([[png(ear(3))]], dtype=np.object_)
    mu = client.infer("ear-image", [tensor("image", files, "BYTES")], headers=HEADERS).as_numpy("mu")
    decoded = client.infer("ear-decoder", [tensor("latent", mu, "FP32")], headers=HEADERS).as_numpy("image")
    assert decoded.shape == (1, 128, 128, 3)
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize(
    ("contents", "datatype", "model", "shape"),
    [
        ({"fp32_contents": [0.5] * 1024}, "FP32", "ear-decoder", [1, 1024]),
        ({"uint_contents": [7] * 128 * 128 * 3}, "UINT8", "ear-encoder", [1, 128, 128, 3]),
        ({"bytes_contents": [png(ear(3))]}, "BYTES", "ear-image", [1, 1]),
    ],
)
def test_typed_contents_are_read_as_raw_ones_are(client, contents, datatype, model, shape):
    name = "latent" if model == "ear-decoder" else "image"
    tensor = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    request = pb.ModelInferRequest(model_name=model, inputs=[tensor])
    assert client._client_stub.ModelInfer(request, metadata=tuple(HEADERS.items())).raw_output_contents


@pytest.mark.parametrize(
    ("model", "headers", "code", "words"),
    [
        ("ear-encoder", {}, "UNAUTHENTICATED", "key"),
        ("nose-encoder", HEADERS, "NOT_FOUND", "unknown model 'nose-encoder'"),
        ("nose/encoder", HEADERS, "NOT_FOUND", "Not Found"),
        ("ear-decoder", HEADERS, "INVALID_ARGUMENT", "takes the one input 'latent'"),
    ],
)
def test_refusals_are_grpc_statuses_with_the_words_of_http(client, model, headers, code, words):
    crops = np.zeros((1, 128, 128, 3), np.uint8)
    with pytest.raises(InferenceServerException, match=words) as refusal:
        client.infer(model, [tensor("image", crops, "UINT8")], headers=headers)
    assert refusal.value.status() == f"StatusCode.{code}"


def test_streams_are_refused_with_the_reason(client):
    refusals = []
    client.start_stream(lambda result, error: refusals.append(error), headers=HEADERS)
    until(lambda: refusals)  # the server ends the stream before anything is sent on it
    client.stop_stream()
    assert "streams are not served" in str(refusals[0])


def test_a_port_that_is_taken_ends_the_start_with_its_name(bundle_folder, tmp_path, address):
    taken = address.app.state.grpc_port
    settings = Settings(bundle=bundle_folder, gallery=tmp_path / "gallery", port=0, grpc_port=taken, threads=1)
    with pytest.raises(ConfigurationError, match=f"cannot listen for gRPC on 127.0.0.1:{taken}"), live_server(settings):
        pass


def service(bundle_folder, tmp_path, **others):
    settings = {"gallery": tmp_path / "gallery", "port": 0, "grpc_port": 0, "threads": 1}
    return Settings(bundle=bundle_folder, **settings, **others)


def test_messages_of_all_calls_together_fit_a_share_of_the_memory(bundle_folder, tmp_path):
    settings = service(bundle_folder, tmp_path, memory_mb=1024)
    longest = grpc_server.most_message_bytes(settings)
    assert longest * grpc_server.MOST_CALLS <= settings.memory_bytes // 4
    with live_server(settings) as address, connected(address) as client:
        crops = np.zeros((longest // (128 * 128 * 3) + 1, 128, 128, 3), np.uint8)
        with pytest.raises(InferenceServerException, match="larger than max") as refusal:
            client.infer("ear-encoder", [tensor("image", crops, "UINT8")])
        assert refusal.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        client.infer("ear-encoder", [tensor("image", crops[:2], "UINT8")])


def test_a_call_beyond_the_limit_is_refused_and_the_next_one_answered(bundle_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(grpc_server, "MOST_CALLS", 1)
    with live_server(service(bundle_folder, tmp_path)) as address, connected(address) as client:
        assert client.is_server_live()
        slow = threading.Event()
        with grpc.insecure_channel(f"127.0.0.1:{address.app.state.grpc_port}") as channel:
            held = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer").future(after(slow))
            until(lambda: refused(client))
            slow.set()
            held.cancel()
        until(lambda: not refused(client))


def connected(address):
    return triton.InferenceServerClient(f"127.0.0.1:{address.app.state.grpc_port}")


def after(event):
    """The messages of a call that sends none until `event`."""
    event.wait(60)
    yield from ()


def refused(client):
    try:
        client.is_server_live()
    except InferenceServerException as error:
        return error.status() == "StatusCode.RESOURCE_EXHAUSTED"
    return False
