"""The service of the tests: real ONNX sessions of a tiny bundle, a real gallery, in-process and on a loopback port."""

from __future__ import annotations

import io
import os
import threading
import time
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.testclient import TestClient

from serve.app import create_app
from serve.http.connection import connection_class
from serve.settings import Settings
from tests.serve.landmark_bundle import add_landmarks_to
from tests.serve.tiny_bundle import write_tiny_bundle


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """No setting of the machine's reaches a test."""
    for name in list(os.environ):
        if name.startswith("EAR_TEACHER_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_tiny_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def finding_bundle(tmp_path_factory):
    """A bundle with landmarks."""
    folder = tmp_path_factory.mktemp("bundles") / "finding"
    write_tiny_bundle(folder)
    add_landmarks_to(folder)
    return folder


@pytest.fixture
def serve(bundle_folder, tmp_path):
    """serve(**settings) -> a context manager with a test client of a ready service."""

    @contextmanager
    def started(ready=True, **given):
        settings = Settings(**{"bundle": bundle_folder, "gallery": tmp_path / "gallery", "threads": 1, **given})
        app = create_app(settings)
        with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:
            if ready:
                wait_until_loaded(app)
            yield client

    return started


@pytest.fixture
def client(serve):
    with serve() as client:
        yield client


@pytest.fixture(scope="session")
def live(bundle_folder, tmp_path_factory):
    """The address of a service on a real socket."""
    gallery = tmp_path_factory.mktemp("live") / "gallery"
    with live_server(Settings(bundle=bundle_folder, gallery=gallery, port=0, threads=1)) as address:
        yield address


@pytest.fixture(scope="session")
def finding_live(finding_bundle, tmp_path_factory):
    """The address of a service that finds ears in photos, on a real socket."""
    gallery = tmp_path_factory.mktemp("finding") / "gallery"
    with live_server(Settings(bundle=finding_bundle, gallery=gallery, port=0, threads=1)) as address:
        yield address


class Address(str):
    """`http://127.0.0.1:PORT`, and the application behind it."""

    def __new__(cls, app, port):
        address = super().__new__(cls, f"http://127.0.0.1:{port}")
        address.app = app
        return address


@contextmanager
def live_server(settings):
    app = create_app(settings)
    http = connection_class(settings)
    server = uvicorn.Server(uvicorn.Config(app, http=http, port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, name="live-server")
    thread.start()
    try:
        until(lambda: server.started)
        wait_until_loaded(app)
        yield Address(app, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)


def wait_until_loaded(app):
    service = app.state.service
    until(lambda: service.active is not None or service.failure is not None)
    if service.failure is not None:
        raise service.failure


def until(condition, timeout_s=60.0):
    """Wait for something that another thread does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def ear(seed=0, size=(160, 192)):
    """A picture like no other: smooth random colours, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(seed=0, **options):
    return encoded(ear(seed, **options))


def mirrored_png(seed=0):
    return encoded(np.ascontiguousarray(ear(seed)[:, ::-1]))


def write_source(folder, first=300):
    """A source for bulk import: a folder with five pictures, one of them broken, and a table of whose they are."""
    folder.mkdir()
    for n in range(5):
        (folder / f"{n}.png").write_bytes(png(first + n) if n != 3 else b"no picture")
    rows = "".join(f"{n}.png,person {n // 2},left\n" for n in range(5))
    (folder / "metadata.csv").write_text("path,subject,side\n" + rows)
    return folder


def enrol(client: TestClient | httpx.Client, seed, **fields):
    data = fields.pop("data", None) or png(seed)
    answer = client.post("/v1/gallery/items", files={"file": ("ear.png", data, "image/png")}, data=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()
