"""Faults of the machine and of callers, and the behaviour that is promised for each (docs/operations.md)."""

import concurrent.futures
import os
import resource
import socket
import threading
import time

import httpx

from serve.inference.batcher import BatchLimits
from serve.settings import Settings
from tests.serve.conftest import enrol, live_server, png, until


def test_a_killed_worker_costs_its_batch_a_503_and_no_more(client):
    encoder = client.app.state.service.active.engine.encoder
    real, armed = encoder._run, [True]

    def dies_once(crops):
        if armed:
            armed.clear()
            raise SystemExit
        return real(crops)

    encoder._run = dies_once
    lost = client.post("/v1/embed", content=png())
    assert (lost.status_code, lost.json()["error"]["code"]) == (503, "not_ready")
    assert lost.headers["Retry-After"]
    assert client.post("/v1/embed", content=png()).status_code == 200
    assert client.get("/health/ready").status_code == 200
    assert "ear_teacher_worker_restarts" in client.get("/metrics").text


def test_out_of_memory_splits_the_batch_and_every_picture_is_answered(client):
    encoder = client.app.state.service.active.engine.encoder
    real = encoder._run

    def small(crops):
        if len(crops) > 2:
            raise MemoryError("CUDA out of memory")
        return real(crops)

    encoder._run = small
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda seed: client.post("/v1/embed", content=png(seed % 3)).status_code, range(24)))
    assert answers == [200] * 24


def test_a_disk_without_room_refuses_enrolments_searches_on_and_deletes(client):
    item = enrol(client, 1, side="left")
    truth = client.app.state.service.active.gallery_pool.gallery._truth
    room = truth._reserve_bytes
    truth._reserve_bytes = 1 << 60
    refused = client.post("/v1/gallery/items", files={"file": png(2)})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "gallery_read_only")
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200
    assert client.post("/v1/search?side=left", content=png(1)).json()["hits"][0]["item_id"] == item["id"]
    assert client.delete(f"/v1/gallery/items/{item['id']}").status_code == 204
    truth._reserve_bytes = room
    assert client.post("/v1/gallery/items", files={"file": png(2)}).status_code == 201


def test_a_clock_that_jumps_changes_nothing(client, monkeypatch):
    """Deadlines and durations are on the monotonic clock; the wall clock only dates."""
    real = time.time
    for jump_s in (-(10**9), 10**9):
        monkeypatch.setattr(time, "time", lambda jump_s=jump_s: real() + jump_s)
        answer = client.post("/v1/embed", content=png())
        assert answer.status_code == 200
        assert 0 < answer.json()["timing_ms"]["total"] < 60_000


def test_a_request_past_its_time_is_answered_429_with_a_time_to_come_back(serve):
    with serve(request_timeout_s=2.0) as client:
        encoder = client.app.state.service.active.engine.encoder
        encoder._limits = BatchLimits(stalled_after_s=30)
        gate, entered = threading.Event(), threading.Event()
        real = encoder._run

        def held(crops):
            entered.set()
            assert gate.wait(20)
            return real(crops)

        encoder._run = held
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first = pool.submit(client.post, "/v1/embed", content=png())
            assert entered.wait(20)
            late = pool.submit(client.post, "/v1/embed", content=png())
            until(lambda: encoder.depth == 1)
            time.sleep(2.1)
            gate.set()
            assert first.result().status_code == 200
            assert (late.result().status_code, late.result().json()["error"]["code"]) == (429, "deadline_exceeded")
            assert int(late.result().headers["Retry-After"]) >= 1


def test_calls_of_a_gallery_that_is_busy_are_answered_429(serve):
    with serve(queue_size=2, index_threads=1) as client:
        item = enrol(client, 1, side="left")
        query = client.post("/v1/embed?side=left", content=png(1)).json()
        body = {"embedding": query["embedding"], "space_id": query["space_id"]}
        gallery = client.app.state.service.active.gallery_pool.gallery
        gate, entered, real = threading.Event(), threading.Event(), gallery.search

        def held(*args, **named):
            entered.set()
            assert gate.wait(20)
            return real(*args, **named)

        gallery.search = held
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(client.post, "/v1/search", json=body) for _ in range(2)]
            until(lambda: entered.is_set() and client.app.state.service.active.gallery_pool._pool._room == 0)
            for ask in ("/v1/gallery/items", "/v1/gallery/duplicates", "/v1/gallery/drift"):
                refused = client.get(ask)
                assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full"), ask
                assert int(refused.headers["Retry-After"]) >= 1
            gate.set()
            assert [one.result().json()["hits"][0]["item_id"] for one in waiting] == [item["id"]] * 2
        assert client.get("/v1/gallery/items").status_code == 200


def test_callers_who_vanish_leave_no_descriptor_and_no_entry_behind(bundle_folder):
    with live_server(Settings(bundle=bundle_folder, port=0, threads=1)) as address:
        host, port = address.removeprefix("http://").split(":")
        engine = address.app.state.service.active.engine
        httpx.post(f"{address}/v1/embed", content=png()).raise_for_status()
        before = len(os.listdir("/proc/self/fd"))
        body = png()
        head = f"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        for sent in (head, head + body[: len(body) // 2], head + body, b"GET / HT", b"\x16\x03\x01\x02\x00\x01\x00"):
            for _ in range(5):
                with socket.create_connection((host, int(port))) as wire:
                    wire.sendall(sent)
        assert httpx.post(f"{address}/v1/embed", content=png()).status_code == 200
        until(lambda: len(os.listdir("/proc/self/fd")) <= before + 2)
        until(lambda: engine.encoder.depth == 0)


def test_many_who_drip_do_not_keep_others_out(bundle_folder):
    settings = Settings(bundle=bundle_folder, port=0, threads=1, body_timeout_s=2.0)
    with live_server(settings) as address:
        host, port = address.removeprefix("http://").split(":")
        head = b"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx"
        room = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        wires = [socket.create_connection((host, int(port))) for _ in range(min(100, room // 8))]
        try:
            for wire in wires:
                wire.sendall(head)
            assert httpx.post(f"{address}/v1/embed", content=png()).status_code == 200
            for wire in wires:
                wire.settimeout(20)
                assert b" 408 " in wire.recv(4096)
        finally:
            for wire in wires:
                wire.close()
