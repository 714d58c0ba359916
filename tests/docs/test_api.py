"""Every example of docs/api.md works against a live service, and every route is on the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serve.app import create_app
from serve.settings import Settings
from tests.serve.conftest import ear, encoded, finding_bundle, live_server  # noqa: F401  (fixture)
from tests.serve.tiny_bundle import write_tiny_bundle

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
WITHOUT = ("/versions/", "/repository/models/")
"""Triton's routes that have a shorter twin or only refuse."""


def fences(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path):
    for number, name in enumerate(("anna.jpg", "other.jpg")):
        (tmp_path / name).write_bytes(encoded(ear(number, size=(190, 200)), "JPEG", quality=95))
    (tmp_path / "photo.jpg").write_bytes(encoded(np.full((480, 640, 3), 200, np.uint8), "JPEG"))
    return tmp_path


def test_every_example_works(finding_bundle, place):  # noqa: F811
    write_tiny_bundle(place / "new", seed=3)
    settings = Settings(bundle=finding_bundle, gallery=place / "gallery", threads=1)
    with live_server(settings) as address:
        binaries = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "URL": address, "NEW_BUNDLE": str(place / "new"), "PATH": binaries}
        script = "set -eo pipefail\n" + "\n".join(fences("sh"))
        done = subprocess.run(["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        for code in fences("python"):
            here = code.replace("http://127.0.0.1:8350", address)
            told = subprocess.run(
                [sys.executable, "-c", here],
                cwd=place,
                env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
                capture_output=True,
                text=True,
            )
            assert told.returncode == 0, told.stderr
    for picture in ("again.png", "drawn.png", "stored.png"):
        assert (place / picture).read_bytes().startswith(b"\x89PNG"), picture


def test_every_route_has_an_example():
    shell = "\n".join(fences("sh"))
    shown = re.sub(r"\$(ITEM|MODEL|PROMOTION|IMPORT)", "{}", shell)
    missing = []
    for path in create_app(Settings(bundle="x")).openapi()["paths"]:
        if any(part in path for part in WITHOUT):
            continue
        wanted = re.sub(r"\{[a-z_]+\}", "{}", path)
        pattern = re.escape("$URL" + wanted).replace(r"\{\}", r"[^/?\"]+") + r"[\"?]"
        if not re.search(pattern, shown):
            missing.append(path)
    assert missing == []
