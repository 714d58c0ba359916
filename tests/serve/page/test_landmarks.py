"""The ear is found on a photo: its box, its side and its landmarks, where the bundle has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.serve.conftest import encoded
from tests.serve.landmark_bundle import add_landmarks_to
from tests.serve.page.browsing import PICTURE, ear, find, part
from tests.serve.page.conftest import serving
from tests.serve.test_landmarks import photo
from tests.serve.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def finding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose bundle finds an ear in every bright photo."""
    folder: Path = tmp_path_factory.mktemp("finding")
    write_tiny_bundle(folder / "bundle")
    add_landmarks_to(folder / "bundle")
    with serving(folder / "bundle", folder) as address:
        yield address


def payload(value: int) -> FilePayload:
    return {"name": "photo.png", "mimeType": "image/png", "buffer": encoded(photo(value))}


def test_a_found_ear_is_marked_with_its_side_and_landmarks(page: Page, finding: str) -> None:
    page.goto(finding)
    page.set_input_files(PICTURE, payload(200))
    with page.expect_request(lambda request: "/v1/search" in request.url and "box=100" in request.url) as asked:
        page.get_by_role("button", name="Find the ear").click()
    assert "box=100%2C20%2C220%2C220" in asked.value.url
    assert "side=right" in asked.value.url
    expect(page.locator("#query-slot .points circle")).to_have_count(2)
    expect(page.locator("#query-slot .points .covered")).to_have_count(1)
    expect(page.locator("#query-slot")).to_contain_text("A right ear was found")
    expect(page.locator("#query-slot")).to_contain_text("1 of 2 landmarks are seen.")
    expect(part(page, "left")).to_have_value("100")


@pytest.mark.slow
def test_a_photo_without_an_ear_says_what_to_do_and_a_new_one_starts_clean(page: Page, finding: str) -> None:
    page.goto(finding)
    page.set_input_files(PICTURE, {"name": "dark.png", "mimeType": "image/png", "buffer": encoded(photo(0) // 8)})
    page.get_by_role("button", name="Find the ear").click()
    expect(page.locator("#query-slot")).to_contain_text("No ear was found. Mark it by hand.")
    expect(part(page, "box")).to_be_hidden()
    page.set_input_files(PICTURE, payload(200))
    expect(page.locator("#query-slot")).not_to_contain_text("No ear was found")


@pytest.mark.slow
def test_a_bundle_without_landmarks_offers_no_finding(page: Page, filled: str) -> None:
    find(page, filled, ear(0, 0))
    expect(page.locator("#state")).to_have_text("Ready")
    expect(page.get_by_role("button", name="Find the ear")).to_have_count(0)
