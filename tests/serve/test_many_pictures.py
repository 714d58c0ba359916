"""Requests with many pictures: each counts for the caller's rate, all have one limit of pixels, all end together."""

import base64
import concurrent.futures
import threading

import httpx
import numpy as np
import pytest

from serve.settings import Settings
from tests.serve.conftest import encoded, live_server, png, until

PICTURES = [base64.b64encode(png(seed)).decode() for seed in range(3)]


def infer(count):
    data = [base64.b64encode(png(seed)).decode() for seed in range(count)]
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [count, 1], "data": data}]}


THREE = {
    "embeddings as JSON": lambda client: client.post("/v1/embeddings", json={"input": PICTURES}),
    "embeddings as a form": lambda client: client.post(
        "/v1/embeddings", files=[("input", png(seed)) for seed in range(3)]
    ),
    "open inference protocol": lambda client: client.post("/v2/models/ear-image/infer", json=infer(3)),
}


@pytest.mark.parametrize("shape", THREE)
def test_each_picture_of_a_request_counts_for_the_rate(serve, shape):
    with serve(rate_limit="4/hour") as client:
        assert THREE[shape](client).status_code == 200
        assert client.post("/v1/embed", content=png()).status_code == 200
        refused = client.post("/v1/embed", content=png())
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")


def test_both_pictures_of_a_comparison_count_for_the_rate(serve):
    with serve(rate_limit="3/hour") as client:
        assert client.post("/v1/verify", files={"a": png(1), "b": png(2)}).status_code == 200
        assert client.post("/v1/verify", files={"a": png(1), "b": png(2)}).status_code == 429


def test_more_pictures_than_the_rate_ever_allows_are_refused_for_good(serve):
    with serve(rate_limit="2/hour") as client:
        refused = client.post("/v1/embeddings", json={"input": PICTURES})
        assert refused.status_code == 413, "asking again would never help"
        assert "3 pictures in one request" in refused.json()["error"]["message"]


def test_pictures_of_one_request_have_a_limit_of_pixels_together(serve):
    large = base64.b64encode(encoded(np.zeros((2000, 2500, 3), np.uint8))).decode()
    with serve(max_request_pixels=12_000_000) as client:
        assert client.post("/v1/embeddings", json={"input": [large] * 2}).status_code == 200
        refused = client.post("/v1/embeddings", json={"input": [large] * 3})
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_large")
        assert client.post("/v2/models/ear-image/infer", json=infer(2)).status_code == 200


def held_decoding(pool, monkeypatch):
    """Decoding stops at the first picture until the gate opens; (gate, entered, how many pictures were begun)."""
    gate, entered, begun = threading.Event(), threading.Event(), []
    real = pool._opened

    def opened(data, framing):
        begun.append(data)
        entered.set()
        assert gate.wait(20)
        return real(data, framing)

    monkeypatch.setattr(pool, "_opened", opened)
    return gate, entered, begun


def test_once_a_picture_fails_the_others_of_its_request_are_not_decoded(serve, monkeypatch):
    with serve(decode_threads=1) as client:
        pool = client.app.state.service.decode_pool
        gate, entered, begun = held_decoding(pool, monkeypatch)
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            asked = {"input": [base64.b64encode(b"no picture").decode(), *PICTURES]}
            answer = threads.submit(client.post, "/v1/embeddings", json=asked)
            assert entered.wait(20)
            until(lambda: pool._threads.waiting == 3)
            gate.set()
            assert answer.result().status_code == 400
            assert "input[0]" in answer.result().json()["error"]["message"]
            until(lambda: pool._threads.held == pool._threads.waiting == 0)
        assert len(begun) <= 2, "the next one's turn may have come before the failure was known"


def test_pictures_of_a_caller_who_left_are_not_decoded(bundle_folder, monkeypatch):
    with live_server(Settings(bundle=bundle_folder, port=0, threads=1, decode_threads=1)) as address:
        pool = address.app.state.service.decode_pool
        gate, entered, begun = held_decoding(pool, monkeypatch)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/v1/embeddings", json={"input": PICTURES}, timeout=httpx.Timeout(10, read=0.5))
        assert entered.is_set()
        until(lambda: pool._threads.waiting == 0)
        gate.set()
        until(lambda: pool._threads.held == 0)
        assert len(begun) == 1
