"""The page's pure functions, run where they live: words for figures, subjects from file names, the chart's axis."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def each(page: Page, address: str, module: str, function: str, arguments: list[list[object]]) -> list[object]:
    """What an exported function of a module gives for each list of arguments."""
    page.goto(address)
    script = "async ([file, name, all]) => { const f = (await import(file))[name]; return all.map((a) => f(...a)); }"
    return page.evaluate(script, [f"/page/{module}.js", function, arguments])


def test_a_files_name_tells_subject_and_side(page: Page, empty: str) -> None:
    names = {
        "s101_0003_04.jpg": ("s101_0003", None),
        "alice_left_01.jpg": ("alice", "left"),
        "alice-R-2.png": ("alice", "right"),
        "Left.jpg": ("", "left"),
        "a.b.jpg": ("a.b", None),
        "larry.jpg": ("larry", None),
    }
    read = each(page, empty, "filenames", "readName", [[name] for name in names])
    assert read == [{"subject": subject, "side": side} for subject, side in names.values()]


def test_a_files_folder_tells_its_subject(page: Page, empty: str) -> None:
    paths = {
        "ears/bo/right_1.jpg": ("bo", "right"),
        "ears/cy.jpg": ("ears", None),
        "dee.jpg": ("", None),
    }
    read = each(page, empty, "filenames", "readFolder", [[path] for path in paths])
    assert read == [{"subject": subject, "side": side} for subject, side in paths.values()]


def test_the_charts_axis_ends_at_a_round_number(page: Page, empty: str) -> None:
    tops = {1: 1, 1.2: 2, 3: 5, 7: 10, 70: 100, 200: 200}
    assert each(page, empty, "latency", "niceCeiling", [[value] for value in tops]) == list(tops.values())


def test_a_quantile_is_the_nearest_rank(page: Page, empty: str) -> None:
    numbers = [4, 1, 3, 2]
    asked = [[numbers, 0.5], [numbers, 0.95], [numbers, 0], [[7], 0.5]]
    assert each(page, empty, "latency", "quantile", asked) == [2, 4, 1, 7]


def test_a_reconstruction_is_judged_in_plain_words(page: Page, empty: str) -> None:
    verdicts = {(30, 0.95): "Very close.", (22, 0.7): "Close.", (18, 0.9): "Rough.", (25, 0.3): "Far off."}
    judged = each(page, empty, "words", "likeness", [list(figures) for figures in verdicts])
    assert [words["verdict"] for words in judged] == list(verdicts.values())  # type: ignore[index]


def test_what_a_reconstruction_loses_is_said_with_the_models_own_figure(page: Page, empty: str) -> None:
    measured, unmeasured, unknown = each(page, empty, "words", "lost", [[{"ssim": 0.791}], [{}], [None]])
    assert "loses single hairs, skin texture, small jewellery and sharp edges" in str(measured)
    assert "SSIM of 0.79" in str(measured)
    assert unmeasured == unknown
    assert "SSIM" not in str(unknown)


def test_milliseconds_are_written_as_people_read_them(page: Page, empty: str) -> None:
    written = {0.42: "0.4 ms", 12.4: "12 ms", 1204: "1.20 s"}
    assert each(page, empty, "words", "milliseconds", [[value] for value in written]) == list(written.values())
