"""The soak: it ends well on a sound service, however long it took, and counts the answers that are not sound."""

import os
import time

import psutil
import pytest

from bench import running, serve_soak
from tests.serve.tiny_bundle import write_tiny_bundle


@pytest.fixture
def soak(tmp_path, monkeypatch):
    write_tiny_bundle(tmp_path / "bundle")
    flags = ["--bundle", tmp_path / "bundle", "--requests", "160", "--connections", "4", "--every-s", "0.2"]
    monkeypatch.setattr("sys.argv", ["serve_soak", *map(str, flags), "--allowed-mb", "500"])
    return serve_soak.main


def test_a_sound_service_ends_it_well(soak):
    assert soak() == 0


def test_an_answer_that_is_not_what_it_should_be_fails_it(soak, monkeypatch, capsys):
    monkeypatch.setattr(serve_soak, "cases", lambda pictures: [("lost", lambda n: [(GONE, 200)])])
    assert soak() == 1
    assert "lost: 404 in place of 200" in capsys.readouterr().out


GONE = b"GET /v1/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_patience_begins_with_the_waiting_not_with_the_service(monkeypatch):
    monkeypatch.setattr(running, "status", lambda port, path: 200)
    long_ago = time.perf_counter() - 10 * running.PATIENCE_S
    assert running.Running(0, long_ago, psutil.Process(os.getpid())).wait("/health/ready") >= 10 * running.PATIENCE_S
