"""The Eigenears view: sliders that draw live, from the mean ear or from the reader's own."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Request, expect

from tests.serve.page.browsing import ear, find

pytestmark = pytest.mark.browser

DECODE = re.compile("/v1/decode")


def asked(request: Request) -> list[float]:
    """The coefficients that a request to draw carries."""
    return (request.post_data_json or {})["eigenears"]


def drawn(page: Page) -> str:
    return page.locator("#eigen-picture").get_attribute("src") or ""


def test_sixteen_sliders_draw_the_ear_live(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#eigenears")
    expect(page.locator("#eigen-picture")).to_have_attribute("src", re.compile("^data:image/png"))
    mean = drawn(page)
    sliders = page.get_by_role("slider")
    expect(sliders).to_have_count(16)
    with page.expect_response(DECODE) as answer:
        sliders.nth(2).fill("2.5")
    assert asked(answer.value.request) == [0, 0, 2.5, *[0] * 13]
    expect(page.locator("#sliders output").nth(2)).to_have_text("+2.5 σ")
    expect(page.locator("#eigen-picture")).not_to_have_attribute("src", mean)
    page.get_by_role("button", name="Mean ear").click()
    expect(page.locator("#eigen-picture")).to_have_attribute("src", mean)


@pytest.mark.slow
def test_a_drag_asks_seldom_and_ends_where_the_slider_ends(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#eigenears")
    page.get_by_role("slider").first.wait_for()
    expect(page.locator("#eigen-picture")).to_have_attribute("src", re.compile("^data:image/png"))
    sent: list[float] = []
    page.on("request", lambda one: sent.append(asked(one)[0]) if DECODE.search(one.url) else None)
    with page.expect_response(DECODE):
        page.get_by_role("slider").first.evaluate(
            """input => {
                 for (let i = 0; i <= 30; i++) { input.value = i / 10; input.dispatchEvent(new Event("input")); }
               }"""
        )
    expect(page.locator("#sliders output").first).to_have_text("+3.0 σ")
    assert sent[-1] == 3
    assert len(sent) <= 3


@pytest.mark.slow
def test_the_sliders_go_to_the_readers_own_ear(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#eigenears")
    expect(page.get_by_role("button", name="Ear from Find")).to_be_disabled()
    find(page, filled, ear(0, 0))
    page.get_by_role("link", name="Eigenears", exact=True).click()
    expect(page.locator("#eigen-picture")).to_have_attribute("src", re.compile("^data:image/png"))
    with page.expect_response(DECODE) as answer:
        page.get_by_role("button", name="Ear from Find").click()
    assert any(value != 0 for value in asked(answer.value.request))


@pytest.mark.slow
def test_a_bundle_without_eigenears_says_how_to_get_them(page: Page, filled: str) -> None:
    def without_eigenears(route) -> None:
        answer = route.fetch()
        models = answer.json()
        models["data"][0]["eigenears"] = None
        route.fulfill(response=answer, json=models)

    page.route("**/v1/models", without_eigenears)
    page.goto(f"{filled}/#eigenears")
    expect(page.locator("#eigen-none")).to_contain_text("Export it with validation pictures")
    expect(page.locator("#eigen")).to_be_hidden()
