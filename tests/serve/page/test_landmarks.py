"""The ear is found on a photo: its box, its side and its landmarks, where the bundle has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

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


def ready(page: Page, address: str) -> None:
    """Open the page and wait until it knows what the bundle can do."""
    page.goto(address)
    expect(page.locator("#state")).to_have_text("Ready")


def test_the_ear_is_found_by_itself_and_marked_with_its_side_and_landmarks(page: Page, finding: str) -> None:
    ready(page, finding)
    with page.expect_request(lambda request: "/v1/search" in request.url) as asked:
        page.set_input_files(PICTURE, payload(200))
    assert "box=100%2C20%2C220%2C220" in asked.value.url
    assert "side=right" in asked.value.url
    expect(page.locator("#query-slot .points circle")).to_have_count(2)
    expect(page.locator("#query-slot .points .covered")).to_have_count(1)
    expect(page.locator("#query-slot")).to_contain_text("A right ear was found")
    expect(page.locator("#query-slot")).to_contain_text("1 of 2 landmarks are seen.")
    expect(part(page, "left")).to_have_value("100")


def test_every_ear_of_a_group_photo_can_be_chosen(page: Page, finding: str) -> None:
    ready(page, finding)

    def two_ears(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        second = {**body["ears"][0], "box": [10, 20, 60, 90], "side": "left", "side_probability": 0.97, "score": 0.5}
        route.fulfill(response=answer, json={**body, "ears": [*body["ears"], second]})

    page.route("**/v1/landmarks*", two_ears)
    page.set_input_files(PICTURE, payload(200))
    ears = page.locator("#query-slot [data-part=ear]")
    expect(ears).to_have_count(2)
    expect(ears.first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#query-slot")).to_contain_text("one of 2 ears")
    with page.expect_request(
        lambda request: "/v1/search" in request.url and "box=10%2C20%2C60%2C90" in request.url
    ) as asked:
        ears.nth(1).click()
    assert "side=left" in asked.value.url
    expect(ears.nth(1)).to_have_attribute("aria-pressed", "true")


def test_a_photo_without_an_ear_is_not_asked_about_until_the_reader_says_so(page: Page, finding: str) -> None:
    ready(page, finding)
    searches: list[str] = []
    page.on("request", lambda request: searches.append(request.url) if "/v1/search" in request.url else None)
    page.set_input_files(PICTURE, {"name": "dark.png", "mimeType": "image/png", "buffer": encoded(photo(0) // 8)})
    expect(page.locator("#query-slot")).to_contain_text("No ear was found. Mark it by hand.")
    expect(part(page, "box")).to_be_hidden()
    assert searches == []
    with page.expect_request(lambda request: "/v1/search" in request.url):
        page.get_by_role("button", name="The whole picture is the ear").click()
    page.set_input_files(PICTURE, payload(200))
    expect(page.locator("#query-slot")).not_to_contain_text("No ear was found")


@pytest.mark.slow
def test_a_bundle_without_landmarks_offers_no_finding(page: Page, filled: str) -> None:
    find(page, filled, ear(0, 0))
    expect(page.locator("#state")).to_have_text("Ready")
    expect(page.get_by_role("button", name="Find the ear")).to_have_count(0)
