"""The Service view and the foot of the page: state, models, readiness, latency."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.serve.page.browsing import PICTURE, Watch, ear

pytestmark = pytest.mark.browser


def test_the_foot_of_the_page_names_space_bundle_runtime_and_precision(page: Page, filled: str) -> None:
    page.goto(filled)
    facts = page.locator("#facts")
    expect(facts).to_contain_text(re.compile("Space.*sp_.*Bundle.*bd_", re.S))
    expect(facts).to_contain_text("onnxruntime-cpu, fp32")
    expect(page.locator("#state")).to_have_text("Ready")


def test_the_service_view_shows_models_and_readiness(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#service")
    expect(page.locator("#models .badge")).to_have_text("active")
    expect(page.locator("#models")).to_contain_text(re.compile("sp_[0-9a-f]{32}"))
    expect(page.locator("#checks li").first).to_contain_text("ok")
    expect(page.locator("#checks .bad")).to_have_count(0)


@pytest.mark.slow
def test_a_service_that_is_not_ready_says_which_part(page: Page, filled: str, watch: Watch) -> None:
    watch.refusals.add(503)
    page.route(
        "**/health/ready",
        lambda route: route.fulfill(
            status=503, json={"status": "not ready", "checks": {"model": "ok", "gallery": "the disk is full"}}
        ),
    )
    page.goto(f"{filled}/#service")
    expect(page.locator("#state")).to_have_text("Not ready")
    expect(page.locator("#checks .bad")).to_have_text("Gallery can be written: the disk is full")
    expect(page.locator("#facts")).to_contain_text("gallery: the disk is full")


@pytest.mark.slow
def test_a_service_that_went_away_is_noticed(page: Page, filled: str) -> None:
    page.route("**/health/ready", lambda route: route.abort())
    page.goto(filled)
    expect(page.locator("#state")).to_have_text("No answer")


def test_the_latency_chart_grows_with_the_pages_requests(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#service")
    expect(page.locator("#latency-empty")).to_be_visible()
    page.get_by_role("link", name="Find", exact=True).click()
    page.set_input_files(PICTURE, ear(0, 0))
    page.locator("#hits").wait_for()
    page.get_by_role("link", name="Service", exact=True).click()
    expect(page.locator("#latency-note")).to_have_text(re.compile(r"Last 3: median .* 95th percentile .*"))
    heights = page.locator("#latency-chart rect").evaluate_all(
        "bars => bars.map((bar) => Number(bar.getAttribute('height')))"
    )
    assert len(heights) >= 8
    assert max(heights) > 0
    assert page.locator("#latency-chart svg").get_attribute("role") == "img"


@pytest.mark.slow
def test_the_state_word_leads_to_the_service_view(page: Page, filled: str) -> None:
    page.goto(filled)
    page.locator("#state").click()
    expect(page.locator("#view-service")).to_be_visible()
