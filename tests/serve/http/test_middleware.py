"""Limits around every request, and what a caller who misbehaves costs."""

import asyncio
import contextlib
import json
import socket
import threading
import time

import httpx
import numpy as np
import pytest

import serve.inference.decode_pool
from bundle.photo import PictureFile
from serve.settings import Settings
from tests.serve.conftest import encoded, live_server, png, until


def test_a_body_over_the_limit_is_refused_before_it_is_read(serve):
    with serve(max_body_bytes=1000) as client:
        answer = client.post("/v1/embed", content=b"x" * 1001)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_a_body_that_hides_its_length_is_cut_off_at_the_limit(serve):
    with serve(max_body_bytes=1000) as client:
        answer = client.post("/v1/embed", content=(b"x" * 100 for _ in range(20)))
        assert answer.status_code == 413


def test_a_form_over_the_limit_is_refused(serve):
    with serve(max_body_bytes=1000) as client:
        answer = client.post("/v1/embed", files={"file": (b"x" * 100 * 20)})
        assert answer.status_code == 413


@pytest.mark.parametrize(
    "form",
    [
        {"files": {"other": png()}},
        {"files": {"file": b""}},
        {"data": {"file": "text"}, "files": {"x": png()}},
    ],
)
def test_a_form_without_its_picture_is_refused(client, form):
    answer = client.post("/v1/embed", **form)
    assert answer.status_code == 400, answer.text
    assert "file" in answer.json()["error"]["message"]


def test_a_broken_form_is_refused(client):
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\nContent-Dis", b"garbage", b"--x\r\n\r\n--y--"):
        assert client.post("/v1/embed", content=body, headers=headers).status_code == 400
    assert client.post("/v1/embed", content=b"a", headers={"Content-Type": "multipart/form-data"}).status_code == 400
    headers["Content-Type"] += "; charset=undefined"
    body = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\r\n--x--\r\n'
    assert client.post("/v1/embed", content=body, headers=headers).status_code == 400


def test_a_large_form_is_kept_in_memory(client, monkeypatch):
    """A container has little room in /tmp: here there is none."""
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    large = encoded(np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8))
    assert len(large) > 2 << 20
    assert client.post("/v1/embed", files={"file": large}).status_code == 200
    assert client.post("/v1/verify", files={"a": large, "b": large}).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"input": 5}', b'{"input": NaN}', b"[" * 10000]
)
def test_json_that_is_none_is_refused(client, body):
    for route in ("/v1/embeddings", "/v1/search"):
        answer = client.post(route, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (route, answer.text)


def test_an_unexpected_failure_is_a_500_that_gives_nothing_away(client, monkeypatch, caplog):
    engine = client.app.state.service.active.engine
    monkeypatch.setattr(engine, "encode", lambda trace, crops: 1 / 0)
    answer = client.post("/v1/embed", content=png())
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.headers["X-Request-Id"] == answer.json()["error"]["request_id"]
    assert answer.json()["error"]["request_id"] in caplog.text


def test_a_queue_that_is_full_answers_429_at_once(serve):
    with serve() as client:
        encoder = client.app.state.service.active.engine.encoder
        encoder._limits = type(encoder._limits)(queue_size=0)
        answer = client.post("/v1/embed", content=png())
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1


def slow_upload(address, total_s, step_s=0.05):
    """Send a body byte by byte; returns the first line of the answer and how long it took to come."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        wire.sendall(b"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        started = time.monotonic()
        wire.settimeout(step_s)
        while time.monotonic() - started < total_s:
            with contextlib.suppress(TimeoutError):
                if line := wire.recv(4096):
                    return line.split(b"\r\n")[0], time.monotonic() - started
            wire.sendall(b"x")
    return b"", total_s


def test_a_body_that_drips_is_cut_off_and_others_are_served_meanwhile(bundle_folder):
    with live_server(Settings(bundle=bundle_folder, port=0, threads=1, body_timeout_s=0.5)) as address:
        line, _ = slow_upload(address, 5.0)
        assert b" 408 " in line
        assert httpx.post(f"{address}/v1/embed", content=png()).status_code == 200


def test_a_client_that_goes_away_costs_no_decoding(bundle_folder, monkeypatch):
    """It leaves while its picture waits for the decoding thread: its picture is never decoded."""
    gate, seen = threading.Event(), []

    def held(data, *limits):
        seen.append(data)
        assert gate.wait(20)
        return PictureFile(data, *limits)

    monkeypatch.setattr(serve.inference.decode_pool, "PictureFile", held)
    settings = Settings(bundle=bundle_folder, port=0, threads=1, decode_threads=1)
    with live_server(settings) as address:
        pool = address.app.state.service.decode_pool

        async def story():
            async with httpx.AsyncClient(base_url=address) as client:
                first = asyncio.ensure_future(client.post("/v1/embed", content=png(1)))
                await asyncio.to_thread(until, lambda: len(seen) == 1)
                room = pool._room
                gone = asyncio.ensure_future(client.post("/v1/embed", content=png(2)))
                await asyncio.to_thread(until, lambda: pool._room == room - 1)
                gone.cancel()
                await asyncio.to_thread(until, lambda: pool._room == room)
                stays = asyncio.ensure_future(client.post("/v1/embed", content=png(3)))
                await asyncio.to_thread(until, lambda: pool._room == room - 1)
                gate.set()
                return [await first, await stays]

        answers = asyncio.run(story())
    assert [answer.status_code for answer in answers] == [200, 200]
    assert seen == [png(1), png(3)], "the picture of the client that left was decoded"


def test_a_client_that_goes_away_costs_no_computation(bundle_folder):
    """It leaves while its picture waits behind a batch that is being computed: its picture is never run."""
    settings = Settings(bundle=bundle_folder, port=0, threads=1)
    with live_server(settings) as address:
        engine = address.app.state.service.active.engine
        gate, ran = threading.Event(), []
        real = engine.encoder._run

        def held(crops):
            ran.append(len(crops))
            assert gate.wait(20)
            return real(crops)

        engine.encoder._run = held

        async def story():
            async with httpx.AsyncClient(base_url=address) as client:
                first = asyncio.ensure_future(client.post("/v1/embed", content=png(1)))
                await asyncio.to_thread(until, lambda: ran == [1])
                gone = asyncio.ensure_future(client.post("/v1/embed", content=png(2)))
                await asyncio.to_thread(until, lambda: engine.encoder.depth == 1)
                await asyncio.sleep(0.1)
                gone.cancel()
                await asyncio.sleep(0.3)
                stays = asyncio.ensure_future(client.post("/v1/embed", content=png(3)))
                await asyncio.to_thread(until, lambda: engine.encoder.depth == 2)
                gate.set()
                return [await first, await stays]

        answers = asyncio.run(story())
        assert [answer.status_code for answer in answers] == [200, 200]
        assert ran == [1, 1], "the picture of the client that left was run"
        assert json.loads(answers[1].content)["embedding"]
