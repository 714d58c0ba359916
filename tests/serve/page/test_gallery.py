"""The Gallery view in headless Chromium against the real service: enrol, look, filter, page, delete."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.serve.page.browsing import Watch, choose_side, ear, find

pytestmark = pytest.mark.browser


def open_gallery(page: Page, address: str) -> None:
    page.goto(f"{address}/#gallery")
    page.locator(".ear").first.wait_for()


def picture(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def test_the_shown_ear_is_enrolled_and_can_be_found(page: Page, own: str) -> None:
    find(page, own, ear(20, 0))
    choose_side(page, "right")
    form = page.locator("#enrol")
    expect(form.get_by_label("Side")).to_have_value("right")
    form.get_by_label("Subject").fill("Ada L.")
    form.get_by_label("Tags").fill("clinic, 2026, ")
    form.get_by_role("button").click()
    expect(page.locator("#enrol-answer")).to_contain_text("Added: Ada L., right.")
    page.get_by_role("link", name="See it in the gallery").click()
    card = page.locator(".ear", has_text="Ada L.")
    expect(card).to_contain_text("right")
    expect(card).to_contain_text("clinic, 2026")
    assert card.locator("img").evaluate("img => img.decode().then(() => img.naturalWidth)") > 0


@pytest.mark.slow
def test_an_enrolled_ear_keeps_the_box_that_was_drawn(page: Page, own: str) -> None:
    find(page, own, ear(21, 0))
    page.get_by_role("button", name="Mark the ear").click()
    with page.expect_response(
        lambda response: response.request.method == "POST" and "/items" in response.url
    ) as answer:
        page.locator("#enrol button").click()
    item = answer.value.json()
    left, top, right, bottom = item["box"]
    assert right - left > 10
    assert bottom - top > 10
    assert item["subject"] is None


def test_filters_narrow_the_grid_and_can_be_cleared(page: Page, filled: str) -> None:
    open_gallery(page, filled)
    everything = page.locator(".ear").count()
    page.locator("#filters").get_by_label("Subject").fill("s101_0000")
    expect(page.locator(".ear")).to_have_count(2)
    page.locator("#filters").get_by_label("Side").select_option("left")
    expect(page.locator(".ear")).to_have_count(1)
    expect(page.locator(".ear")).to_contain_text("left")
    expect(page.locator("#gallery-note")).to_have_text("1 ear")
    page.locator("#filters").get_by_label("Tag").fill("no such tag")
    expect(page.locator("#gallery-empty")).to_contain_text("No ear passes these filters.")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".ear")).to_have_count(everything)


@pytest.mark.slow
def test_a_large_gallery_comes_in_pages(page: Page, filled: str) -> None:
    open_gallery(page, filled)
    first = page.locator(".ear").first.get_attribute("data-id")
    expect(page.locator("#page-word")).to_have_text(re.compile(r"1–48 of \d+"))
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#page-word")).to_have_text(re.compile(r"49–\d+ of \d+"))
    assert page.locator(".ear").first.get_attribute("data-id") != first
    page.get_by_role("button", name="Previous").click()
    expect(page.locator(f".ear[data-id='{first}']")).to_be_visible()


def test_an_ear_is_deleted_only_after_a_yes(page: Page, own: str) -> None:
    open_gallery(page, own)
    before = page.locator(".ear").count()
    victim = page.locator(".ear").first
    name = victim.get_attribute("data-id")
    victim.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_role("dialog")).to_contain_text("cannot be undone")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".ear")).to_have_count(before)
    victim.get_by_role("button", name=re.compile("^Delete")).click()
    page.get_by_role("button", name="Delete this ear").click()
    expect(page.locator(f".ear[data-id='{name}']")).to_have_count(0)
    expect(page.locator(".ear")).to_have_count(before - 1)
    expect(page.get_by_role("status")).to_contain_text("was deleted")


def test_a_subject_is_deleted_whole(page: Page, own: str) -> None:
    open_gallery(page, own)
    page.get_by_role("button", name="s101_0002", exact=True).first.click()
    page.get_by_role("button", name="Delete all of s101_0002").click()
    page.get_by_role("button", name="Delete the subject").click()
    expect(page.get_by_role("status")).to_contain_text("All of s101_0002 was deleted.")
    page.locator(".ear").first.wait_for()
    expect(page.locator(".ear", has_text="s101_0002")).to_have_count(0)


@pytest.mark.slow
def test_an_enrolled_ear_can_be_asked_about(page: Page, filled: str) -> None:
    open_gallery(page, filled)
    page.locator(".ear").nth(3).get_by_role("button", name=re.compile("^Find ears like")).click()
    expect(page.locator("#hits")).to_be_visible()
    assert float(page.locator(".hit .number").first.inner_text()) > 0.9


@pytest.mark.slow
def test_an_empty_gallery_says_where_to_begin(page: Page, empty: str) -> None:
    page.goto(f"{empty}/#gallery")
    expect(page.locator("#gallery-empty")).to_contain_text("The gallery is empty.")
    expect(page.locator("#gallery-empty").get_by_role("link", name="Find")).to_be_visible()


def test_many_ears_are_added_with_subject_and_side_from_their_names(page: Page, own: str) -> None:
    open_gallery(page, own)
    page.get_by_text("Add many ears").click()
    names = ["bo_left_1.jpg", "bo_right_2.jpg", "cy_l_07.jpg"]
    page.set_input_files("#bulk-files", [picture(name, ear(22, i).read_bytes()) for i, name in enumerate(names)])
    expect(page.locator("#bulk-plan li")).to_have_text(
        ["bo_left_1.jpg → bo, left", "bo_right_2.jpg → bo, right", "cy_l_07.jpg → cy, left"]
    )
    page.get_by_role("button", name="Add 3 ears").click()
    expect(page.locator("#bulk-word")).to_have_text("3 ears added.")
    assert page.locator("#bulk-meter").evaluate("bar => bar.value / bar.max") == 1
    page.locator("#filters").get_by_label("Subject").fill("bo")
    expect(page.locator(".ear")).to_have_count(2)


@pytest.mark.slow
def test_one_bad_file_among_many_fails_alone_by_name(page: Page, own: str, watch: Watch) -> None:
    watch.refusals.add(400)
    open_gallery(page, own)
    page.get_by_text("Add many ears").click()
    page.locator("#bulk-form").get_by_label("Subject").first.select_option("one")
    page.get_by_label("Subject of all").fill("dee")
    files = [picture("bad.jpg", b"not a picture"), picture("good.jpg", ear(23, 0).read_bytes())]
    page.set_input_files("#bulk-files", files)
    page.get_by_role("button", name="Add 2 ears").click()
    expect(page.locator("#bulk-word")).to_have_text("1 ear added, 1 failed.")
    expect(page.locator("#bulk-failed")).to_contain_text("bad.jpg: ")
    expect(page.locator("#bulk-failed").get_by_role("button", name="Try these again")).to_be_visible()
