"""Promotions in the Service view: stage a bundle, watch it, let it answer, go back, end it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.serve.page.browsing import Watch
from tests.serve.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.browser


def press(page: Page, label: str) -> None:
    """Press a button of the promotion and agree to what the page asks."""
    page.locator("#promotion-list").get_by_role("button", name=label, exact=True).click()
    page.locator("#confirm-yes").click()


@pytest.mark.slow
def test_a_new_model_is_staged_watched_activated_rolled_back_and_retired(page: Page, own: str, tmp_path: Path) -> None:
    manifest = write_tiny_bundle(tmp_path / "new", seed=1)
    page.goto(f"{own}/#service")
    expect(page.locator("#promotion-none")).to_be_visible()
    page.get_by_label("Folder of the new bundle").fill(str(tmp_path / "new"))
    page.get_by_role("button", name="Stage it").click()
    state = page.locator("#promotion-list .badge")
    expect(state).to_have_text("ready")
    expect(page.locator("#promotion-list")).to_contain_text("neighbours kept of 10")

    press(page, "Activate")
    expect(state).to_have_text("active")
    expect(page.locator("#facts")).to_contain_text(manifest.bundle_id[:11])
    press(page, "Roll back")
    expect(state).to_have_text("rolled back")
    expect(page.locator("#facts")).not_to_contain_text(manifest.bundle_id[:11])
    press(page, "Retire the new model")
    expect(state).to_have_text("cancelled")
    expect(page.locator("#promotion-list button")).to_have_count(0)


@pytest.mark.slow
def test_the_progress_of_embedding_anew_is_shown_with_the_time_left(page: Page, empty: str) -> None:
    running = {
        "id": "pr_1",
        "state": "embedding",
        "bundle": "/bundles/new",
        "bundle_id": "bd_" + "b" * 32,
        "from_bundle_id": "bd_" + "a" * 32,
        "total": 200,
        "done": 50,
        "eta_s": 240.0,
        "failed_items": [],
        "report": None,
        "objections": [],
        "error": None,
    }
    page.route("**/v1/promotions", lambda route: route.fulfill(json={"promotions": [running]}))
    page.goto(f"{empty}/#service")
    expect(page.locator("#promotion-list")).to_contain_text("50 of 200 ears, 4 min left")
    assert page.locator("#promotion-list progress").evaluate("bar => bar.value / bar.max") == 0.25
    running.update(state="ready", done=200, objections=["rank-1 falls by 0.100"], failed_items=["ear_1"])
    expect(page.locator("#promotion-list .badge")).to_have_text("ready")
    page.locator("#promotion-list").get_by_role("button", name="Activate").click()
    expect(page.get_by_role("dialog")).to_contain_text("Rank-1 falls by 0.100. 1 ear could not be embedded")
    expect(page.get_by_role("button", name="Activate all the same")).to_be_visible()


@pytest.mark.slow
def test_a_folder_that_is_no_bundle_is_refused_in_the_services_words(page: Page, own: str, watch: Watch) -> None:
    watch.refusals |= {400, 409, 503}
    page.goto(f"{own}/#service")
    page.get_by_label("Folder of the new bundle").fill("/nowhere/at/all")
    page.get_by_role("button", name="Stage it").click()
    expect(page.locator("#promotion-problem")).to_contain_text(re.compile("not a bundle|manifest", re.I))
