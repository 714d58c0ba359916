"""`ear-teacher serve` as a process: one clear line when it cannot start, an address when it can, a graceful end."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest

import ear_teacher
from bundle.manifest import read_manifest
from index.opening import open_gallery
from tests.serve.conftest import png, until
from tests.serve.tiny_bundle import write_tiny_bundle


def serve(*flags, **environment):
    """A service as a process; without `--port` on a free one, since tests of other files run beside it."""
    command = [sys.executable, "-m", "ear_teacher", "serve", *map(str, flags)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "EAR_TEACHER_PORT": "0", **environment},
    )


@contextmanager
def serving(*flags, **environment):
    """A running service: what it printed, and its address."""
    process = serve(*flags, "--port", "0", "--threads", "1", **environment)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    try:
        until(lambda: any("try" in line for line in lines) or process.poll() is not None, 60)
        told = "".join(lines)
        assert process.poll() is None, process.stderr.read()
        yield process, re.search(r"page +(https?://[^/]+)/", told)[1], told
    finally:
        process.kill()
        reader.join(10)
        process.communicate()


def test_it_prints_an_address_and_a_curl_line_that_works_until_sigterm(bundle_folder, tmp_path):
    with serving("--bundle", bundle_folder, "--gallery", tmp_path / "gallery") as (process, address, told):
        assert httpx.get(f"{address}/health/ready").json()["status"] == "ready"
        (tmp_path / "ear.jpg").write_bytes(png())
        line = told.splitlines()[-1].split("try", 1)[1].strip()
        done = subprocess.run([*shlex.split(line), "--silent"], cwd=tmp_path, capture_output=True, check=True)
        assert b'"embedding"' in done.stdout
        httpx.post(f"{address}/v1/gallery/items", files={"file": png()}).raise_for_status()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()
    with open_gallery(tmp_path / "gallery", 1024, read_manifest(bundle_folder).space_id) as gallery:
        assert gallery.count() == 1


def test_after_a_promotion_and_a_kill_it_starts_with_the_bundle_that_answers_and_says_so(bundle_folder, tmp_path):
    flags = ("--bundle", bundle_folder, "--gallery", tmp_path / "gallery")
    manifest = write_tiny_bundle(tmp_path / "new", seed=2)
    with serving(*flags) as (process, address, told):
        assert read_manifest(bundle_folder).bundle_id in told
        record = httpx.post(f"{address}/v1/promotions", json={"bundle": str(tmp_path / "new")}, timeout=60).json()
        place = f"{address}/v1/promotions/{record['id']}"
        until(lambda: httpx.get(place).json()["state"] == "ready", 60)
        assert httpx.post(f"{place}/activate", json={"force": True}).status_code == 200
        process.kill()
    with serving(*flags) as (_, address, told):
        assert f"serves {manifest.bundle_id}" in told
        assert httpx.get(f"{address}/health/live").headers["X-Ear-Bundle-Id"] == manifest.bundle_id


def fails(capsys, *flags):
    status = ear_teacher.main(["serve", "--port", "0", *map(str, flags)])
    err = capsys.readouterr().err
    assert status == 2
    (line,) = [line for line in err.splitlines() if " WARNING " not in line]  # as of a runtime that was passed over
    return line


def test_a_missing_bundle_is_one_line(capsys, tmp_path):
    assert "is not a bundle" in fails(capsys, "--bundle", tmp_path / "nothing")


def test_no_bundle_at_all_names_the_flag(capsys):
    assert "--bundle (EAR_TEACHER_BUNDLE) is required" in fails(capsys)


def test_a_broken_bundle_is_one_line(capsys, bundle_folder, tmp_path):
    import shutil

    broken = shutil.copytree(bundle_folder, tmp_path / "broken")
    (broken / "encoder.onnx").write_bytes(b"\0" * (broken / "encoder.onnx").stat().st_size)
    assert "encoder.onnx was changed" in fails(capsys, "--bundle", broken)


def test_a_gallery_of_another_model_is_one_line(capsys, bundle_folder, tmp_path):
    open_gallery(tmp_path / "gallery", dim=1024, space_id="sp_" + "0" * 32).close()
    err = fails(capsys, "--bundle", bundle_folder, "--gallery", tmp_path / "gallery")
    assert "sp_" + "0" * 32 in err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_being_reachable_needs_a_key_or_a_word(capsys, bundle_folder, host):
    assert "--insecure" in fails(capsys, "--bundle", bundle_folder, "--host", host)


def test_a_port_in_use_is_one_line(capsys, bundle_folder):

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        err = fails(capsys, "--bundle", bundle_folder, "--port", taken.getsockname()[1])
    assert "choose another --port" in err


def test_a_setting_out_of_range_names_its_flag(capsys, bundle_folder):
    assert "--max-batch (EAR_TEACHER_MAX_BATCH) is 0" in fails(capsys, "--bundle", bundle_folder, "--max-batch", "0")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.key"), "--tls-cert /nowhere.pem cannot be read"),
        (("--tls-key", "/nowhere.key"), "--tls-key is given without --tls-cert"),
        (("--cors-origins", "ears.example"), "is no origin"),
        (("--gallery", "/proc/self/gallery"), "/proc/self/gallery"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(capsys, bundle_folder, flags, words):
    assert words in fails(capsys, "--bundle", bundle_folder, *flags)


def test_a_certificate_that_is_none_is_one_line(capsys, bundle_folder, tmp_path):
    (tmp_path / "cert.pem").write_text("no certificate")
    assert "cannot be used" in fails(capsys, "--bundle", bundle_folder, "--tls-cert", tmp_path / "cert.pem")


def test_sigterm_while_it_loads_ends_it_without_a_traceback(bundle_folder, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = serve("--bundle", bundle_folder, "--gallery", tmp_path / "gallery", "--port", port)
    try:
        until(lambda: answers(port) or process.poll() is not None, 60)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGTERM)
        assert "Traceback" not in err
        assert out == "" or "ear-teacher serves" in out
    finally:
        process.kill()


def answers(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
    except httpx.TransportError:
        return False
