"""The Find view in headless Chromium against the real service: pictures in, answers out."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.serve.page.browsing import PICTURE, Watch, choose_side, ear, find, part

pytestmark = pytest.mark.browser

SEARCHES = re.compile(r"/v1/search\?")


def asked(page: Page, action) -> dict[str, str]:
    """Do something and return the query of the search that it leads to."""
    with page.expect_response(SEARCHES) as answer:
        action()
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.value.url).query).items()}


def give(page: Page, how: str, picture: Path) -> None:
    """Give a picture by a drop or a paste event, as a browser makes it."""
    page.evaluate(
        """({how, data}) => {
             const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
             const transfer = new DataTransfer();
             transfer.items.add(new File([bytes], "given.jpg", {type: "image/jpeg"}));
             const event = how === "drop"
               ? new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true})
               : new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true, cancelable: true});
             document.querySelector("#query-slot").dispatchEvent(event);
           }""",
        {"how": how, "data": base64.b64encode(picture.read_bytes()).decode()},
    )


def test_a_chosen_ear_is_shown_with_its_reconstruction_and_the_nearest_ears(page: Page, filled: str) -> None:
    find(page, filled, ear(0, 0))
    for picture in ("#seen-input", "#seen-output"):
        assert page.locator(picture).evaluate("img => img.decode().then(() => img.naturalWidth)") == 128
    expect(page.locator("#seen-words")).to_contain_text(re.compile(r"PSNR \d+\.\d dB, SSIM \d\.\d\d"))
    expect(page.locator("#seen-lost")).to_contain_text("loses single hairs, skin texture")
    hits = page.locator(".hit")
    expect(hits).to_have_count(10)
    expect(hits.first).to_contain_text("s101_0000")
    expect(hits.first).to_contain_text("left")
    assert hits.first.locator("img").evaluate("img => img.decode().then(() => img.naturalWidth)") > 0


def test_similarity_time_and_command_are_told_as_they_are(page: Page, filled: str) -> None:
    find(page, filled, ear(0, 0))
    number = float(page.locator(".hit .number").first.inner_text())
    width = page.locator(".hit .meter i").first.evaluate("bar => bar.style.width")
    assert number > 0.99  # this very picture is enrolled
    assert float(width.removesuffix("%")) == pytest.approx(100 * number, abs=0.1)
    assert "%" not in page.locator("#hits").inner_text()
    expect(page.locator("#hits-key")).to_contain_text("not a probability")
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"10 ears found\. The nearest is s101_0000, left"))
    stages = ["decode picture", "wait in queue", "run model", "search gallery", "rest of service", "network, browser"]
    expect(page.locator("#time-list dt")).to_have_text(stages)
    expect(page.locator("#time-note")).to_contain_text(re.compile(r"m?s in the service, .* seen from here"))
    assert page.locator("#time-bar i").count() == len(stages)
    command = page.locator("#curl").text_content() or ""
    assert f"'{filled}/v1/search?k=10&side=unknown'" in command
    assert "--data-binary @'s101_0000_00.jpg'" in command


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_dropped_or_pasted_ear_is_asked_about(page: Page, filled: str, how: str) -> None:
    page.goto(filled)
    query = asked(page, lambda: give(page, how, ear(1, 0)))
    assert query == {"k": "10", "side": "unknown"}
    expect(page.locator(".hit").first).to_contain_text("s101_0001")
    expect(part(page, "note")).to_contain_text("given.jpg")


def test_side_and_options_change_the_question(page: Page, filled: str) -> None:
    find(page, filled, ear(0, 0))
    assert asked(page, lambda: choose_side(page, "left"))["side"] == "left"
    page.get_by_text("Search options").click()
    assert asked(page, lambda: page.get_by_label("Ears to show").select_option("5"))["k"] == "5"
    expect(page.locator(".hit")).to_have_count(5)
    assert asked(page, lambda: page.get_by_label("Compare left ears").check())["cross_ear"] == "true"
    assert asked(page, lambda: page.get_by_label("Least similarity").fill("0.999"))["threshold"] == "0.999"
    assert asked(page, lambda: page.get_by_label("Only subject").first.fill("nobody"))["subject"] == "nobody"
    expect(page.locator("#hit-list")).to_contain_text("No ear passes these filters")


def test_a_box_drawn_on_the_photo_goes_with_the_request(page: Page, filled: str) -> None:
    find(page, filled, ear(0, 0))
    asked(page, page.get_by_role("button", name="Mark the ear").click)
    photo = part(page, "photo").bounding_box()
    size = part(page, "photo").evaluate("img => img.naturalWidth")
    assert photo is not None
    scale = photo["width"] / size

    def draw() -> None:
        page.mouse.move(photo["x"] + 10 * scale, photo["y"] + 8 * scale)
        page.mouse.down()
        page.mouse.move(photo["x"] + 60 * scale, photo["y"] + 50 * scale, steps=3)
        page.mouse.move(photo["x"] + 110 * scale, photo["y"] + 120 * scale, steps=3)
        page.mouse.up()

    box = [int(side) for side in asked(page, draw)["box"].split(",")]
    assert box == pytest.approx([10, 8, 110, 120], abs=1)
    assert part(page, "width").input_value() == str(box[2] - box[0])


@pytest.mark.slow
def test_a_box_is_adjusted_by_keys_and_by_numbers_stays_inside_and_is_removed(page: Page, filled: str) -> None:
    find(page, filled, ear(0, 0))
    start = asked(page, page.get_by_role("button", name="Mark the ear").click)["box"]
    left, top, right, bottom = map(int, start.split(","))
    expect(part(page, "box")).to_be_focused()
    size = part(page, "photo").evaluate("img => Math.max(img.naturalWidth, img.naturalHeight)")
    step = round(4 * 0.01 * size)

    press(page, *["ArrowRight"] * 4)
    assert corners(page) == pytest.approx([left + step, top, right + step, bottom], abs=1)
    press(page, *["Shift+ArrowDown"] * 4)
    grown = corners(page)
    assert grown == pytest.approx([left + step, top, right + step, bottom + step], abs=1)
    expect(page.locator("#curl")).to_contain_text(urlencode({"box": ",".join(map(str, grown))}))
    assert asked(page, lambda: type_into(page, "left", "5"))["box"].split(",")[0] == "5"
    left, _, right, _ = map(int, asked(page, lambda: type_into(page, "width", "100000"))["box"].split(","))
    assert (left, right) == (0, part(page, "photo").evaluate("img => img.naturalWidth"))

    part(page, "box").focus()
    assert "box" not in asked(page, lambda: press(page, "Delete"))
    expect(part(page, "box")).to_be_hidden()


def corners(page: Page) -> list[int]:
    """The box as its number fields tell it: x1, y1, x2, y2."""
    left, top, width, height = (int(part(page, name).input_value()) for name in ("left", "top", "width", "height"))
    return [left, top, left + width, top + height]


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def type_into(page: Page, field: str, text: str) -> None:
    part(page, field).fill(text)
    page.keyboard.press("Tab")


def test_a_file_that_is_no_picture_shows_the_services_words_and_the_page_goes_on(
    page: Page, filled: str, watch: Watch
) -> None:
    watch.refusals.add(400)
    page.goto(filled)
    page.set_input_files(PICTURE, {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"no picture at all"})
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("request ")
    expect(problem).to_contain_text(re.compile("not a picture|cannot|could not|image", re.I))
    expect(page.locator("#enrol-card")).to_be_hidden()
    page.set_input_files(PICTURE, ear(2, 0))
    expect(page.locator(".hit").first).to_contain_text("s101_0002")
    expect(problem).to_be_hidden()


def test_an_empty_gallery_says_what_to_do(page: Page, empty: str) -> None:
    page.goto(empty)
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#samples")).to_be_hidden()
    page.set_input_files(PICTURE, ear(0, 0))
    expect(page.locator("#hit-list")).to_contain_text("The gallery is empty.")
    expect(page.locator("#hit-list")).to_contain_text("Add this ear")
    expect(page.locator("#seen-output")).to_be_visible()


@pytest.mark.slow
def test_a_sample_from_the_gallery_finds_itself(page: Page, filled: str) -> None:
    page.goto(filled)
    sample = page.locator("#sample-list button").first
    name = sample.get_attribute("aria-label") or ""
    sample.click()
    expect(page.locator(".hit").first).to_contain_text(name.removeprefix("Try ").split(",")[0])
    assert float(page.locator(".hit .number").first.inner_text()) > 0.9


@pytest.mark.slow
def test_a_silent_service_is_named_and_asked_again_on_request(page: Page, filled: str) -> None:
    page.goto(filled)
    page.route(SEARCHES, lambda route: route.abort())
    page.set_input_files(PICTURE, ear(0, 0))
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute(SEARCHES)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".hit")).to_have_count(10)


@pytest.mark.slow
def test_a_busy_service_is_asked_again_after_a_moment(page: Page, filled: str, watch: Watch) -> None:
    watch.refusals.add(429)
    page.goto(filled)
    busy = '{"error": {"message": "the queue is full", "code": "queue_full", "request_id": "r"}}'
    page.route(SEARCHES, lambda route: route.fulfill(status=429, headers={"Retry-After": "1"}, body=busy), times=1)
    page.set_input_files(PICTURE, ear(0, 0))
    expect(page.locator(".hit")).to_have_count(10)


def test_a_hit_is_explained_by_pictures_a_morph_and_eigenears(page: Page, filled: str) -> None:
    find(page, filled, ear(3, 0))
    button = page.get_by_role("button", name="Why is number 2 near?")
    button.click()
    why = page.locator(".hit").nth(1).locator(".why")
    expect(why.locator(".morph img")).to_have_count(7)
    drawn = why.locator("img").evaluate_all("all => Promise.all(all.map((i) => i.decode().then(() => i.naturalWidth)))")
    assert drawn == [128] * 10
    expect(why).to_contain_text("They agree on")
    expect(why).to_contain_text("They differ on")
    for axis in why.locator("svg[role=img]").all():
        assert re.fullmatch(r"yours [+−][\d.]+ σ, theirs [+−][\d.]+ σ", axis.get_attribute("aria-label") or "")
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    expect(why).to_be_hidden()


@pytest.mark.slow
def test_an_explanation_that_fails_says_so_and_can_be_asked_for_again(page: Page, filled: str, watch: Watch) -> None:
    watch.refusals.add(404)
    find(page, filled, ear(3, 0))
    gone = '{"error": {"message": "no item of that id", "code": "item_not_found", "request_id": "r"}}'
    page.route("**/v1/explain?*", lambda route: route.fulfill(status=404, body=gone), times=1)
    page.get_by_role("button", name="Why is number 1 near?").click()
    expect(page.locator(".why").first).to_contain_text("No item of that id.")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".why .morph img").first).to_be_visible()


@pytest.mark.slow
def test_a_picture_that_is_no_ear_raises_a_doubt(page: Page, filled: str) -> None:
    page.goto(filled)
    quality = {"psnr_db": 9.0, "ssim": 0.1, "sharpness": 0.1, "ear_likeness": 0.1, "blurred": True}

    def doubt(route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "quality": quality})

    page.route("**/v1/embed?*", doubt)
    page.set_input_files(PICTURE, ear(0, 0))
    expect(page.locator("#seen-words")).to_contain_text("not sure that this is an ear")
    expect(page.locator("#seen-words")).to_contain_text("blurred")
