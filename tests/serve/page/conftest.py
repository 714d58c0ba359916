"""The browser and the services of the page's tests: the real application with demo ears in its gallery."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from deploy.browser import ADVICE, find
from serve.settings import Settings
from tests.serve.conftest import live_server
from tests.serve.page.browsing import ARGUMENTS, EARS, PATIENCE_MS, Watch

KEY = "secret-key"


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One headless browser for this folder, closed after it: its event loop must not meet that of other tests.

    Skips where there is none, except in CI.
    """
    executable = find()
    if executable is None:
        assert not os.environ.get("CI"), ADVICE
        pytest.skip(ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Watch:
    """What went wrong in this test's pages; say there which refusals are meant."""
    return Watch()


@pytest.fixture
def context(chromium: Browser, watch: Watch) -> Iterator[BrowserContext]:
    """A fresh profile. Fails its test on script errors, refusals and foreign hosts."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    context.on("page", watch.follow)
    yield context
    context.close()
    assert not watch.failures, "\n".join(watch.failures)
    assert len(watch.hosts) <= 1, f"the page asked other hosts: {sorted(watch.hosts)}"


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """An empty page of the fresh profile; answers that a test's route still has in hand at its end are nobody's."""
    page = context.new_page()
    yield page
    page.unroute_all(behavior="ignoreErrors")


@pytest.fixture(scope="session")
def filled(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with two ears of each demo subject; tests leave it as it is."""
    with serving(bundle_folder, tmp_path_factory.mktemp("filled")) as address:
        enrol_demo_ears(address, shots=2)
        yield address


@pytest.fixture(scope="session")
def empty(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose gallery is empty and stays so."""
    with serving(bundle_folder, tmp_path_factory.mktemp("empty")) as address:
        yield address


@pytest.fixture
def own(bundle_folder: Path, tmp_path: Path) -> Iterator[str]:
    """A service of this test alone, with two ears of each of four subjects."""
    with serving(bundle_folder, tmp_path) as address:
        enrol_demo_ears(address, shots=2, subjects=4)
        yield address


@pytest.fixture
def locked(bundle_folder: Path, tmp_path: Path) -> Iterator[str]:
    """A service that wants KEY, with two ears."""
    with serving(bundle_folder, tmp_path, api_key=KEY) as address:
        enrol_demo_ears(address, shots=2, subjects=1)
        yield address


@contextmanager
def serving(bundle: Path, folder: Path, **settings: Any) -> Iterator[str]:
    """The real application on a free port, its gallery in `folder`."""
    with live_server(Settings(bundle=bundle, gallery=folder / "gallery", port=0, threads=1, **settings)) as address:
        yield str(address)


def enrol_demo_ears(address: str, shots: int, subjects: int = 26) -> None:
    """Put the first `shots` pictures of the first `subjects` people into the gallery."""
    with (EARS.parent / "metadata.csv").open() as table:
        rows = list(csv.DictReader(table))
    people = list(dict.fromkeys(row["subject"] for row in rows))[:subjects]
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client:
        for person in people:
            for row in [row for row in rows if row["subject"] == person][:shots]:
                picture = (EARS.parent / row["path"]).read_bytes()
                fields = {"subject": person, "side": row["side"], "tags": f"render,{row['light']}"}
                client.post("/v1/gallery/items", files={"file": picture}, data=fields).raise_for_status()
