"""Headers that drip in, or do not end, cost their sender the connection and nobody else anything."""

import resource
import socket
import time

import httpx
import pytest

from serve.http.connection import MAX_HEAD_BYTES
from serve.settings import Settings
from tests.serve.conftest import live_server, png, until


@pytest.fixture(scope="module")
def hasty(bundle_folder):
    with live_server(Settings(bundle=bundle_folder, port=0, threads=1, header_timeout_s=0.5)) as address:
        yield address


def connect(address):
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def until_closed(wire):
    received = b""
    while piece := wire.recv(65536):
        received += piece
    return received


@pytest.mark.parametrize("begun", [b"GET / HT", b"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nX-A: "])
def test_headers_that_do_not_arrive_in_time_are_answered_408(hasty, begun):
    with connect(hasty) as wire:
        wire.sendall(begun)
        answer = until_closed(wire)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"took longer than 0.5 s" in answer


def test_a_byte_now_and_then_does_not_buy_more_time(hasty):
    with connect(hasty) as wire:
        wire.settimeout(0.1)
        answer, sent = b"", 0
        while not answer and sent < 100:
            wire.sendall(b"E" if sent else b"GET / HTTP/1.1\r\nX-A: ")
            sent += 1
            try:
                answer = wire.recv(4096)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_connection_without_a_request_is_closed_without_a_word(hasty):
    with connect(hasty) as wire:
        assert until_closed(wire) == b""


def test_many_slow_headers_keep_nobody_out(hasty):
    wires = [connect(hasty) for _ in range(50)]
    for wire in wires:
        wire.sendall(b"GET / HTTP/1.1\r\nX-A: ")
    assert httpx.post(f"{hasty}/v1/embed", content=png()).status_code == 200
    for wire in wires:
        assert b" 408 " in until_closed(wire)
        wire.close()


def test_the_time_of_a_kept_connection_begins_with_its_next_request(hasty):
    with httpx.Client() as client:
        for _ in range(2):
            assert client.get(f"{hasty}/health/live").status_code == 200
            time.sleep(0.8)
        assert client.get(f"{hasty}/health/live").status_code == 200


def test_a_request_that_takes_longer_than_headers_may_is_not_cut_short(hasty):
    body = png()
    with connect(hasty) as wire:
        wire.sendall(f"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        time.sleep(0.8)
        wire.sendall(body)
        assert wire.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("piece", [b"X-A: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
def test_headers_without_end_are_answered_431(hasty, piece):
    with connect(hasty) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        for _ in range(MAX_HEAD_BYTES // len(piece) + 1):
            wire.sendall(piece)
        assert b" 431 " in until_closed(wire)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_large_body_is_not_taken_for_headers(hasty, at_once):
    body = png(size=(640, 640)).ljust(3 * MAX_HEAD_BYTES, b"\0")
    asked = f"POST /v1/embed HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with connect(hasty) as wire:
        if at_once:
            wire.sendall(asked.encode() + body)
        else:
            wire.sendall(asked.encode())
            time.sleep(0.1)
            wire.sendall(body)
        assert until_closed(wire).startswith(b"HTTP/1.1 200 ")


def drip_until_closed(wire, drop):
    """Send a drop now and then; what came back until the connection was closed."""
    wire.settimeout(0.05)
    answer, until = b"", time.monotonic() + 10
    while time.monotonic() < until:
        try:
            wire.sendall(drop)
            if not (piece := wire.recv(65536)):
                return answer
            answer += piece
        except TimeoutError:
            continue
        except ConnectionError:  # a drop came after the close
            return answer
    raise AssertionError(f"still open after {answer!r}")


@pytest.mark.parametrize("asked", ["POST /nothing", "POST /v1/embed", "GET /health/live"])
@pytest.mark.parametrize("length", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_on_after_its_answer_is_cut_off(bundle_folder, asked, length):
    settings = Settings(bundle=bundle_folder, port=0, threads=1, api_key="k", body_timeout_s=0.5)
    with live_server(settings) as address, connect(address) as wire:
        wire.sendall(f"{asked} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n".encode())
        status = {"POST /nothing": b"404", "POST /v1/embed": b"401", "GET /health/live": b"200"}[asked]
        drop = b"x" if "Length" in length else b"1\r\nx\r\n"
        assert drip_until_closed(wire, drop).startswith(b"HTTP/1.1 " + status)


def test_a_kept_connection_is_not_kept_by_empty_lines(hasty):
    with connect(hasty) as wire:
        wire.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert drip_until_closed(wire, b"\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_connection_goes_on_when_the_body_that_was_answered_early_has_arrived(hasty):
    with connect(hasty) as wire:
        for _ in range(2):
            wire.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n")
            assert wire.recv(65536).startswith(b"HTTP/1.1 404 ")
            wire.sendall(b"xx")
            time.sleep(0.3)
        assert until_closed(wire) == b""


def test_one_connection_too_many_is_answered_503_and_the_others_are_served(bundle_folder):
    with live_server(Settings(bundle=bundle_folder, port=0, threads=1, max_connections=3)) as address:
        wires = [connect(address) for _ in range(3)]
        with connect(address) as late:
            told = until_closed(late)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in told
        wires[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wires[0].recv(65536).startswith(b"HTTP/1.1 200 ")
        for wire in wires:
            wire.close()
        until(lambda: httpx.get(f"{address}/health/live").status_code == 200)


@pytest.mark.parametrize(
    ("files", "room"), [(1024, 768), (200, 100), (1 << 20, 10_000), (resource.RLIM_INFINITY, 10_000)]
)
def test_connections_leave_files_for_everything_else(monkeypatch, files, room):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (files, files))
    assert Settings(bundle="x").connections == room
