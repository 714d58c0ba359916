"""Who can use the page: with a key, by keyboard, on a phone, in the dark, under a strict content policy."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.serve.page.browsing import PICTURE, Watch, ear, find, open_everything
from tests.serve.page.conftest import KEY

pytestmark = pytest.mark.browser

VIEWS = ("find", "compare", "eigenears", "gallery", "service")

# Every visible text whose contrast with what lies behind it is below WCAG AA (4.5, or 3 where large).
LOW_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const colour = rgba(getComputedStyle(n).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join("");
    if (!text || !node.checkVisibility() || node.getBoundingClientRect().width < 2) continue;
    if (node.closest(":disabled, .visually-hidden, svg, noscript")) continue;
    const style = getComputedStyle(node);
    const [light, dark] = [luminance(rgba(style.color)), luminance(behind(node))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) low.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return low;
}"""

# Every control without a name that assistive technology could say.
NAMELESS = """() => [...document.querySelectorAll("button, input, select, a, dialog, progress")].filter((node) => {
  if (node.getAttribute("aria-label") || node.textContent.trim() && node.localName !== "select") return false;
  if (node.getAttribute("aria-labelledby") || node.labels?.length) return false;
  return node.checkVisibility();
}).map((node) => node.outerHTML.slice(0, 120))"""


def test_a_key_is_asked_for_only_when_needed_and_kept_in_the_tab(page: Page, locked: str, watch: Watch) -> None:
    watch.refusals.add(401)
    page.goto(locked)
    dialog = page.get_by_role("dialog", name="This service asks for a key")
    expect(dialog).to_be_visible()
    dialog.get_by_label("API key").fill("wrong")
    dialog.get_by_role("button", name="Use the key").click()
    expect(dialog).to_contain_text("did not accept this key")
    dialog.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#facts")).to_contain_text("Space")
    sample = page.locator("#sample-list img").first
    assert sample.evaluate("img => img.decode().then(() => img.naturalWidth)") > 0  # pictures need the key as well
    page.set_input_files(PICTURE, ear(0, 0))
    expect(page.locator(".hit").first).to_be_visible()
    assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
    page.reload()
    expect(page.locator("#sample-list img").first).to_be_visible()
    expect(dialog).to_be_hidden()


def test_the_page_runs_under_a_strict_content_policy(page: Page, empty: str) -> None:
    answer = page.goto(empty)
    assert answer is not None
    policy = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert not {"script-src", "style-src", "connect-src"} & set(policy)  # nothing is let off the default
    expect(page.locator("#facts")).to_contain_text("Space")  # and the page works under it


@pytest.mark.slow
def test_declining_the_key_leaves_a_page_that_says_what_is_missing(page: Page, locked: str, watch: Watch) -> None:
    watch.refusals.add(401)
    page.goto(locked)
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.set_input_files(PICTURE, ear(0, 0))
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile("API key", re.I))


def visit(page: Page, view: str) -> None:
    """Go to a view without loading the page anew, and unfold it."""
    page.evaluate("hash => { location.hash = hash; }", view)
    page.locator(f"#view-{view}").wait_for()
    expect(page.locator("#facts")).to_contain_text("Space")
    open_everything(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(page: Page, filled: str, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    find(page, filled, ear(0, 0))
    for view in VIEWS:
        visit(page, view)
        page.wait_for_timeout(200)  # colours fade over 120 ms
        assert page.evaluate(LOW_CONTRAST) == [], view


def test_a_phone_of_360_px_shows_everything_without_scrolling_sideways(page: Page, filled: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    find(page, filled, ear(0, 0))
    for view in VIEWS:
        visit(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") == 360, view


@pytest.mark.slow
def test_every_control_has_a_name(page: Page, filled: str) -> None:
    find(page, filled, ear(0, 0))
    for view in VIEWS:
        visit(page, view)
        assert page.evaluate(NAMELESS) == [], view


@pytest.mark.slow
def test_the_keyboard_alone_reaches_the_picture_the_side_and_the_views(page: Page, filled: str) -> None:
    page.goto(filled)
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.dataset.part || document.activeElement.textContent.trim()"))
        outline = page.evaluate(
            "(() => { const n = document.activeElement; const s = (x) => getComputedStyle(x).outlineStyle;"
            " return [s(n), n.nextElementSibling ? s(n.nextElementSibling) : 'none']; })()"
        )
        assert "solid" in outline or "auto" in outline, f"{seen[-1]} shows no focus"
    assert seen[0] == "Skip to the content"
    assert "Gallery" in seen
    assert "file" in seen


@pytest.mark.slow
def test_a_view_has_its_own_address_title_and_focus(page: Page, filled: str) -> None:
    page.goto(f"{filled}/#gallery")
    expect(page).to_have_title("Gallery · ear-teacher")
    page.get_by_role("link", name="Service", exact=True).click()
    expect(page).to_have_title("Service · ear-teacher")
    expect(page.locator("#service-title")).to_be_focused()
    expect(page.locator("nav [aria-current=page]")).to_have_text("Service")
    page.go_back()
    expect(page.locator("#view-gallery")).to_be_visible()
