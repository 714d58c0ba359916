"""Types that openapi-typescript makes of the service's document: a small use passes tsc, and works when it runs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from serve.app import create_app
from serve.settings import Settings
from tests.serve.conftest import enrol

USE = Path(__file__).with_name("use_service.ts")
PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20.19.0")
TSC = ["--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck", "--rewriteRelativeImportExtensions"]


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def packages(tmp_path):
    """A folder with the TypeScript tools."""
    if shutil.which("npm") is None:
        message = "npm is not installed: apt-get install npm"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    (tmp_path / "package.json").write_text(json.dumps({"type": "module", "private": True}))
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES, folder=tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_use_of_the_service_passes_tsc_and_works(packages, live):
    document = create_app(Settings(bundle="x")).openapi()
    (packages / "openapi.json").write_text(json.dumps(document))
    run("npx", "--no-install", "openapi-typescript", "openapi.json", "-o", "ears.d.ts", folder=packages)
    shutil.copy(USE, packages / "use.ts")
    run("npx", "--no-install", "tsc", *TSC, "use.ts", folder=packages)
    with httpx.Client(base_url=str(live)) as client:
        enrol(client, 401, side="left")
    assert run("node", "use.js", str(live), folder=packages).split() == ["true", "true"]
