"""The Compare view: two ears, their similarity, the decision at a stated false-accept rate."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.serve.page.browsing import FIRST, SECOND, choose_side, ear, find, part

pytestmark = pytest.mark.browser

VERIFY = re.compile("/v1/verify")
NEXT_FORM = """() => {
  const send = window.fetch;
  window.form = new Promise((resolve) => {
    window.fetch = (url, options) => {
      if (options.body instanceof FormData) resolve(Object.fromEntries(options.body));
      return send(url, options);
    };
  });
}"""
"""Playwright does not show the parts of a form that holds files."""


def give(page: Page, slot: str, subject: int, shot: int) -> None:
    part(page, "file", slot).set_input_files(ear(subject, shot))


def test_one_ear_twice_is_accepted_and_two_ears_are_not(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#compare")
    give(page, FIRST, 0, 0)
    give(page, SECOND, 0, 0)
    expect(page.locator("#verdict-title")).to_have_text("Accepted as one ear")
    assert float(page.locator("#verdict .number").inner_text()) > 0.99
    expect(page.locator("#verdict-words")).to_contain_text("lets at most 2 % of pairs of different ears")
    choose_side(page, "left", FIRST)
    choose_side(page, "left", SECOND)
    expect(page.locator("#verdict-words")).to_contain_text(re.compile(r"lets 1 % of pairs of different ears pass"))
    with page.expect_response(VERIFY) as answer:
        give(page, SECOND, 18, 1)
    assert answer.value.json()["same"] is False
    expect(page.locator("#verdict-title")).to_have_text("Not accepted as one ear")


@pytest.mark.slow
def test_sides_box_and_rate_go_with_the_question(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#compare")
    give(page, FIRST, 0, 0)
    give(page, SECOND, 0, 1)
    page.locator("#verdict").wait_for()
    with page.expect_request(lambda request: "side_b=right" in request.url) as asked:
        choose_side(page, "right", SECOND)
    assert "side_a=unknown" in asked.value.url
    with page.expect_request(lambda request: "far=0.1" in request.url):
        page.get_by_label("false-accept rate").select_option("10 %")
    page.evaluate(NEXT_FORM)
    part(page, "mark", FIRST).click()
    form = page.evaluate("window.form")
    assert list(form) == ["a", "box_a", "b"]
    assert re.fullmatch(r"\d+,\d+,\d+,\d+", form["box_a"])


@pytest.mark.slow
def test_the_view_begins_with_the_ear_of_the_find_view(page: Page, filled: str) -> None:
    find(page, filled, ear(1, 0))
    page.get_by_role("link", name="Compare").click()
    expect(part(page, "note", FIRST)).to_contain_text(ear(1, 0).name)
    expect(part(page, "drop", SECOND)).to_be_visible()


@pytest.mark.slow
def test_a_bundle_without_calibration_gives_the_similarity_alone(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#compare")
    unknown = dict.fromkeys(("probability", "same", "far", "threshold", "tar"))
    page.route(VERIFY, lambda route: route.fulfill(json={"similarity": 0.5, **unknown, "calibrated": False}))
    give(page, FIRST, 0, 0)
    give(page, SECOND, 0, 1)
    expect(page.locator("#verdict-title")).to_have_text("Similarity")
    expect(page.locator("#verdict-words")).to_contain_text("no calibration")
