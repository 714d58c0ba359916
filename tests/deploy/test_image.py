"""The image, made by the Dockerfile's own steps on a fresh Debian root, serves ears under a container's restrictions.

There is no Docker engine here: Debian bookworm's Python 3.11 stands for the base image python:3.11-slim-bookworm, and
`image.py` and `container.py` say what else is emulated. The gpu target is not built.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.deploy.container import Container
from tests.deploy.image import Builder
from tests.serve.conftest import png
from tests.serve.tiny_bundle import write_tiny_bundle

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="chroot and mount need root")]

ROOT = Path(__file__).parents[2]
KEY = "a-key-of-this-test"
BEARER = f"Authorization: Bearer {KEY}"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture(scope="module")
def work():
    """A folder that the image's user may walk through: pytest's own temporary folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="ear-teacher-image-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def debian(work):
    """A minimal Debian root with Python, as python:3.11-slim-bookworm is one."""
    assert shutil.which("debootstrap"), "apt-get install debootstrap"
    root = work / "debian"
    packages = "--include=python3,python3-venv,ca-certificates"
    subprocess.run(["debootstrap", "--variant=minbase", packages, "bookworm", root], check=True, capture_output=True)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    shutil.copy(
        CERTIFICATES, root / CERTIFICATES.relative_to("/")
    )  # where a proxy of this network has its own authority
    return root


@pytest.fixture(scope="module")
def image(work, debian):
    """The cpu target with a bundle baked in, from a copy of the build context."""
    context = work / "context"
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in filter(lambda name: (ROOT / name).is_file(), names):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, context / name)
    write_tiny_bundle(context / "bundles" / "tiny")
    args = {"BUNDLE": "bundles/tiny", "COMMIT": "0123456789ab"}
    (work / "stages").mkdir()
    builder = Builder(context, debian, work / "stages", args, {"PIP_CERT": str(CERTIFICATES)})
    try:
        yield builder.build("cpu")
    finally:
        builder.close()


@pytest.fixture
def start(image, work, tmp_path_factory):
    """Start containers; they are stopped afterwards."""
    running: list[Container] = []

    def start(gallery=None, bundle=None, **env):
        mounts = {} if gallery is None else {"/gallery": (gallery, True)}
        mounts |= {} if bundle is None else {"/bundle": (bundle, False)}
        running.append(Container(image, mounts, env, work / f"log-{len(running)}"))
        return running[-1]

    yield start
    for container in running:
        container.stop()


@pytest.fixture
def gallery(work):
    """An empty folder that belongs to the image's user, as a fresh volume does."""
    folder = Path(tempfile.mkdtemp(dir=work))
    shutil.chown(folder, 10001, 10001)
    return folder


def test_it_holds_what_serves_and_nothing_that_trains(image):
    installed = {
        path.name.split("-")[0].lower() for path in image.root.glob("opt/venv/lib/*/site-packages/*.dist-info")
    }
    assert {"onnxruntime", "fastapi", "faiss_cpu"} <= installed
    assert installed & {"torch", "lightning", "transformers", "pytest"} == set()
    assert not {"training", "export", "tests"} & {path.name for path in (image.root / "app").iterdir()}


def test_its_versions_are_those_of_the_constraints(image):
    pinned = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    for info in image.root.glob("opt/venv/lib/*/site-packages/*.dist-info"):
        name, version = info.name.removesuffix(".dist-info").split("-")
        if name in ("pip", "setuptools"):  # of the venv, not of the project
            continue
        assert pinned.get(name.lower(), pinned.get(name.lower().replace("_", "-"))) == version, info.name


def test_a_gallery_outlives_its_container(start, gallery, tmp_path):
    (tmp_path / "ear.png").write_bytes(png(1))
    first = start(gallery, EAR_TEACHER_API_KEY=KEY)
    first.wait_until_healthy()
    picture = ["--header", BEARER, "--form", f"file=@{tmp_path / 'ear.png'}"]
    enrolled = first.curl("/v1/gallery/items", *picture, "--form", "subject=ann", "--form", "side=left", "--fail")
    assert enrolled.returncode == 0, enrolled.stderr
    assert first.stop() in (0, -15)
    second = start(gallery, EAR_TEACHER_API_KEY=KEY)
    second.wait_until_healthy()
    found = second.curl("/v1/search", "--header", BEARER, "--data-binary", f"@{tmp_path / 'ear.png'}", "--fail")
    assert json.loads(found.stdout)["hits"][0]["subject"] == "ann", found.stdout


def test_it_runs_without_rights_on_a_root_that_it_cannot_write(start, gallery):
    container = start(gallery, EAR_TEACHER_API_KEY=KEY)
    container.wait_until_healthy()
    told = container.run("sh", "-c", "id --user; grep CapEff /proc/self/status; touch /app/x /bundle/x /opt/venv/x")
    assert told.stdout.split() == ["10001", "CapEff:", "0000000000000000"]
    assert told.stderr.count("Read-only file system") == 3
    assert container.run("ear-teacher", "--version").stdout.startswith("ear-teacher 0.")
    assert "(commit 0123456789ab)" in container.run("ear-teacher", "--version").stdout


def test_a_mounted_bundle_takes_the_place_of_the_baked_one(start, gallery, work):
    other = write_tiny_bundle(work / "other", seed=1)
    container = start(gallery, work / "other", EAR_TEACHER_API_KEY=KEY)
    container.wait_until_healthy()
    models = container.curl("/v1/models", "--header", BEARER).stdout
    assert other.space_id in models


def test_without_a_key_it_refuses_to_be_reachable(start, gallery):
    container = start(gallery)
    assert container.process.wait(60) == 2
    assert "EAR_TEACHER_API_KEY" in container.log.read_text()


def test_its_health_check_can_fail(start, gallery):
    container = start(gallery, EAR_TEACHER_API_KEY=KEY)
    container.wait_until_healthy()
    elsewhere = container.run("env", "EAR_TEACHER_PORT=1", *container.stage.healthcheck)
    assert (elsewhere.returncode, elsewhere.stderr[:9]) == (1, "not ready")


def test_a_training_verb_says_that_it_lives_elsewhere(start, gallery):
    container = start(gallery, EAR_TEACHER_API_KEY=KEY)
    container.wait_until_healthy()
    told = container.run("ear-teacher", "train", "--help")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "this needs training, which is not installed here" in told.stderr
