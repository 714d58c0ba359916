"""/v1/embeddings: what each family of clients sends, over HTTP."""

import base64

import numpy as np
import pytest

from tests.serve.conftest import png
from tests.serve.http.test_image_inputs import MESSAGE

RAW = base64.b64encode(png(1)).decode()
URI = "data:image/png;base64," + RAW
CHAT = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": URI}}, {"type": "text", "text": "An ear."}],
}


def floats(value):
    return np.frombuffer(base64.b64decode(value), "<f4") if isinstance(value, str) else np.array(value, np.float32)


REQUESTS = {
    "openai": ("/v1/embeddings", {"model": "ear-teacher", "input": URI, "encoding_format": "base64"}),
    "infinity": ("/embeddings", {"model": "ear-teacher", "modality": "image", "dimensions": 0, "input": [URI]}),
    "infinity without a width": ("/embeddings", {"model": "ear-teacher", "dimensions": None, "input": [URI]}),
    "vllm": ("/v1/embeddings", {"model": "ear-teacher", "encoding_format": "float", "messages": [CHAT]}),
    "jina": (
        "/v1/embeddings",
        {"model": "ear-teacher", "normalized": True, "embedding_type": "float", "input": [{"image": RAW}]},
    ),
    "jina packed": ("/v1/embeddings", {"model": "ear-teacher", "embedding_type": "base64", "input": [{"image": RAW}]}),
    "voyage": (
        "/v1/multimodalembeddings",
        {
            "model": "ear-teacher",
            "input_type": None,
            "truncation": True,
            "output_dimension": 1024,
            "inputs": [{"content": [{"type": "image_base64", "image_base64": URI}]}],
            "output_encoding": "base64",
        },
    ),
}


@pytest.mark.parametrize("family", REQUESTS)
def test_each_family_of_clients_gets_the_same_vector(client, family):
    path, body = REQUESTS[family]
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    plain = client.post("/v1/embed", content=png(1)).json()["embedding"]
    np.testing.assert_allclose(floats(answer.json()["data"][0]["embedding"]), plain, atol=1e-5)
    assert answer.json()["usage"]["total_tokens"] == 0
    assert answer.json()["object"] == "list"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"dimensions": 512}, "dimensions"),
        ({"dimensions": -1}, "dimensions"),
        ({"output_dimension": 256}, "output_dimension"),
        ({"modality": "text"}, "modality"),
        ({"encoding_format": "ubinary"}, "encoding_format"),
        ({"embedding_type": "binary"}, "embedding_type"),
        ({"side": "up"}, "side"),
        ({"input": ["https://ears.example/a.jpg"]}, "input[0]"),
        ({"input": [[MESSAGE, MESSAGE]]}, "input[0]"),
    ],
)
def test_what_is_not_served_is_named(client, change, param):
    answer = client.post("/v1/embeddings", json={"input": URI, **change})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_too_many_pictures_are_refused_before_any_is_decoded(serve):
    with serve(max_inputs=2) as client:
        assert client.post("/v1/embeddings", json={"input": [URI] * 2}).status_code == 200
        assert client.post("/v1/embeddings", json={"input": [URI] * 3}).status_code == 400
