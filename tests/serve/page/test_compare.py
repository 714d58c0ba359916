"""The Compare view: two ears, their similarity, the decision at a stated false-accept rate."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

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


def decided(page: Page, **fields: Any) -> None:
    """Let the service answer as one whose gallery is calibrated does."""
    measured = {"calibrated_on": "this gallery: 90 pictures of 30 people", "genuine_pairs": 90, "impostor_pairs": 4000}
    verdict = {"probability": 0.97, "reason": None, "threshold": 0.4, "tar": 0.91, "calibrated": True, **measured}
    answer = {"similarity": 0.5, "same": True, "far": 0.01, "sides": ["left", "left"], **verdict, **fields}
    page.route(VERIFY, lambda route: route.fulfill(json=answer))


def with_rates(page: Page) -> None:
    """Let the model's gallery be calibrated at two rates."""

    def answer(route: Route) -> None:
        models = route.fetch().json()
        models["data"][0]["gallery_calibration"] = {"points": [{"far": 0.1}, {"far": 0.01}]}
        route.fulfill(json=models)

    page.route("**/v1/models", answer)
    decided(page)


def compare(page: Page, address: str) -> None:
    page.goto(f"{address}/#compare")
    give(page, FIRST, 0, 0)
    give(page, SECOND, 0, 1)


def test_a_bundle_calibrated_on_other_pictures_gives_no_verdict(page: Page, filled: str) -> None:
    compare(page, filled)
    expect(page.locator("#verdict-title")).to_have_text("Not calibrated on your pictures: no verdict")
    expect(page.locator("#verdict-words")).to_contain_text("(made-up ears: 50 pictures of 10 people)")
    expect(page.locator("#verdict .number")).to_be_visible()
    expect(page.locator("#far-field")).to_be_hidden()


def test_a_calibrated_gallery_accepts_or_does_not_and_says_on_what_evidence(page: Page, filled: str) -> None:
    decided(page)
    compare(page, filled)
    expect(page.locator("#verdict-title")).to_have_text("Accepted as one ear")
    expect(page.locator("#verdict-words")).to_contain_text("lets 1 % of pairs of different ears pass")
    expect(page.locator("#verdict-words")).to_contain_text(
        "measured on this gallery: 90 pictures of 30 people, 90 pairs of one ear and 4,000 pairs of different people"
    )
    page.unroute(VERIFY)
    decided(page, same=False, far=0.02, sides=["unknown", "left"])
    give(page, SECOND, 18, 1)
    expect(page.locator("#verdict-title")).to_have_text("Not accepted as one ear")
    expect(page.locator("#verdict-words")).to_contain_text("lets at most 2 % of pairs of different ears")


@pytest.mark.slow
def test_sides_box_and_rate_go_with_the_question(page: Page, filled: str) -> None:
    with_rates(page)
    compare(page, filled)
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
    decided(page, calibrated=False, **dict.fromkeys(("probability", "same", "far", "threshold", "tar")))
    compare(page, filled)
    expect(page.locator("#verdict-title")).to_have_text("Similarity: no verdict")
    expect(page.locator("#verdict-words")).to_contain_text("no calibration")
