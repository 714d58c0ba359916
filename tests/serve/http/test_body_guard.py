"""Bodies in memory at once: a budget from the container's memory, waited for, then refused with Retry-After."""

import socket

import httpx
import pytest

from serve.http.body_guard import body_budget
from serve.settings import Settings
from tests.serve.conftest import live_server, png, until

MIB = 1 << 20


def begin(address, size):
    """A connection that has sent the headers of a body of `size` bytes, and one byte of it."""
    wire = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
    wire.sendall(f"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\nx".encode())
    return wire


@pytest.fixture
def small_memory(bundle_folder):
    """A service with 16 MiB for bodies."""
    settings = Settings(bundle=bundle_folder, port=0, threads=1, memory_mb=128, request_timeout_s=1.0)
    with live_server(settings) as address:
        yield address


def budget_of(address):
    return address.app.state.service.body_budget


def test_the_budget_is_a_share_of_the_memory_of_the_container(bundle_folder):
    assert body_budget(Settings(bundle=bundle_folder, memory_mb=1024)).capacity == 128 * MIB


def test_bodies_past_the_budget_wait_and_are_refused_with_a_time_to_come_back(small_memory):
    large = png() + bytes(MIB)
    with begin(small_memory, 16 * MIB):
        until(lambda: budget_of(small_memory).held == 16 * MIB)
        refused = httpx.post(f"{small_memory}/v1/embed", content=large, timeout=20)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "deadline_exceeded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert "16 MiB" in refused.json()["error"]["message"]
        small = httpx.post(f"{small_memory}/v1/embed", content=png(), timeout=20)
        assert small.status_code == 200, "a small body waits for nothing"
    until(lambda: budget_of(small_memory).held == 0)
    assert httpx.post(f"{small_memory}/v1/embed", content=large, timeout=20).status_code == 200


def test_a_body_that_waited_is_read_once_there_is_memory(bundle_folder):
    settings = Settings(bundle=bundle_folder, port=0, threads=1, memory_mb=128)
    with live_server(settings) as address, begin(address, 16 * MIB) as first:
        budget = budget_of(address)
        until(lambda: budget.held == 16 * MIB)
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as second:
            data = png() + bytes(MIB)
            head = f"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n\r\n"
            second.sendall(head.encode() + data)
            until(lambda: budget.waiting == 1)
            first.close()
            assert second.recv(15) == b"HTTP/1.1 200 OK"
        until(lambda: budget.held == 0)


@pytest.mark.parametrize("header", ["Transfer-Encoding: chunked", "Content-Encoding: gzip\r\nContent-Length: 99"])
def test_a_body_of_unknown_size_counts_as_the_largest(small_memory, header):
    with socket.create_connection(("127.0.0.1", int(small_memory.rpartition(":")[2]))) as wire:
        wire.sendall(f"POST /v1/embed HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n".encode())
        until(lambda: budget_of(small_memory).held == 16 * MIB)
    until(lambda: budget_of(small_memory).held == 0)


def test_a_caller_without_a_key_holds_no_memory(bundle_folder):
    settings = Settings(bundle=bundle_folder, port=0, threads=1, memory_mb=128, api_key="secret")
    with live_server(settings) as address, begin(address, 16 * MIB) as wire:
        assert wire.recv(12) == b"HTTP/1.1 401"
        assert budget_of(address).held == 0
