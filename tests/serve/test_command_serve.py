"""`ear-teacher serve` as a process: one clear line when it cannot start, an address when it can, a graceful end."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading

import httpx
import pytest

import ear_teacher
from tests.serve.conftest import png, until


def serve(*flags, **environment):
    command = [sys.executable, "-m", "ear_teacher", "serve", *map(str, flags)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


@pytest.fixture
def running(bundle_folder, tmp_path):
    process = serve("--bundle", bundle_folder, "--gallery", tmp_path / "gallery", "--port", "0", "--threads", "1")
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True).start()
    until(lambda: any("try" in line for line in lines) or process.poll() is not None, 60)
    yield process, "".join(lines)
    process.kill()
    process.communicate()


def test_it_prints_an_address_and_a_curl_line_that_works(running, tmp_path):
    _, told = running
    address = re.search(r"page +(http://127\.0\.0\.1:\d+)/", told)[1]
    assert httpx.get(f"{address}/health/ready").json()["status"] == "ready"
    (tmp_path / "ear.jpg").write_bytes(png())
    line = told.splitlines()[-1].split("try", 1)[1].strip()
    done = subprocess.run([*shlex.split(line), "--silent"], cwd=tmp_path, capture_output=True, check=True)
    assert b'"embedding"' in done.stdout


def test_sigterm_ends_it_well_and_frees_the_gallery(running):
    process, told = running
    address = re.search(r"page +(http://\S+)/", told)[1]
    httpx.post(f"{address}/v1/gallery/items", files={"file": png()}).raise_for_status()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in err


def fails(capsys, *flags):
    status = ear_teacher.main(["serve", *map(str, flags)])
    err = capsys.readouterr().err
    assert status == 2
    assert len(err.splitlines()) == 1
    return err


def test_a_missing_bundle_is_one_line(capsys, tmp_path):
    assert "is not a bundle" in fails(capsys, "--bundle", tmp_path / "nothing")


def test_no_bundle_at_all_names_the_flag(capsys):
    assert "--bundle (EAR_TEACHER_BUNDLE) is required" in fails(capsys)


def test_a_broken_bundle_is_one_line(capsys, bundle_folder, tmp_path):
    import shutil

    broken = shutil.copytree(bundle_folder, tmp_path / "broken")
    (broken / "encoder.onnx").write_bytes(b"\0" * (broken / "encoder.onnx").stat().st_size)
    assert "encoder.onnx was changed" in fails(capsys, "--bundle", broken, "--port", "0")


def test_a_gallery_of_another_model_is_one_line(capsys, bundle_folder, tmp_path):
    from index.gallery import open_gallery

    open_gallery(tmp_path / "gallery", dim=1024, space_id="sp_" + "0" * 32).close()
    err = fails(capsys, "--bundle", bundle_folder, "--gallery", tmp_path / "gallery", "--port", "0")
    assert "sp_" + "0" * 32 in err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_being_reachable_needs_a_key_or_a_word(capsys, bundle_folder, host):
    assert "--insecure" in fails(capsys, "--bundle", bundle_folder, "--host", host)


def test_a_port_in_use_is_one_line(capsys, bundle_folder):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        err = fails(capsys, "--bundle", bundle_folder, "--port", taken.getsockname()[1])
    assert "choose another --port" in err


def test_a_setting_out_of_range_names_its_flag(capsys, bundle_folder):
    assert "--max-batch (EAR_TEACHER_MAX_BATCH) is 0" in fails(capsys, "--bundle", bundle_folder, "--max-batch", "0")
