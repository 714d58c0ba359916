"""Takes the pictures of the page that the documentation shows: docs/images/page-*.png, each under 200 KB.

python docs/make_screenshots.py http://127.0.0.1:8350

Needs Chromium and the extra `dev`, and a service whose gallery holds ears (`ear-teacher demo` leaves one running). It
only asks: nothing in the gallery is changed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from bundle.framing import Framing
from bundle.image import frame, read, to_png
from deploy.browser import find as find_browser
from training.data.records import load_records

ROOT = Path(__file__).parents[1]
CROPS = ROOT / "demo" / "ears" / "crops"
LIMIT_BYTES = 200_000
PATIENCE_MS = 30_000
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUERY, FIRST, SECOND = (f"#{name}-slot [data-part=file]" for name in ("query", "first", "second"))


@dataclass(frozen=True)
class Ears:
    """Pictures to ask with: `query`, and `other`, another picture of the same person."""

    query: Path
    other: Path


@dataclass(frozen=True)
class Shot:
    """One picture: what is done on the page before it is taken, and the screen it is taken on (width, height in px)."""

    name: str
    steps: Callable[[Page, Ears], None]
    screen: tuple[int, int] = (1280, 1000)
    scheme: Literal["light", "dark"] = "light"


def find(page: Page, ears: Ears) -> None:
    """Ask for the nearest ears."""
    page.set_input_files(QUERY, ears.query)
    page.locator("#hits").wait_for()


def explain(page: Page, ears: Ears) -> None:
    """Ask why the nearest ear is near, and bring the answer into view."""
    find(page, ears)
    page.get_by_role("button", name="Why is number 1 near?").click()
    page.locator(".why .morph").wait_for()
    page.locator("#hits").evaluate("card => scrollTo(0, card.offsetTop - 76)")


def compare(page: Page, ears: Ears) -> None:
    """Compare two pictures of one person."""
    show(page, "compare")
    page.set_input_files(FIRST, ears.query)
    page.set_input_files(SECOND, ears.other)
    page.locator("#verdict").wait_for()


def eigenears(page: Page, ears: Ears) -> None:
    """Move along a few eigenears."""
    show(page, "eigenears")
    for index, place in enumerate((1.4, -1.2, 0.8, -0.6, 1.0, -1.5)):
        page.locator(f"#eigenear-{index + 1}").fill(str(place))
    page.locator("#eigen-picture[src]").wait_for()


def gallery(page: Page, ears: Ears) -> None:
    """Look at the first page of the gallery."""
    show(page, "gallery")
    page.locator(".ear").first.wait_for()


def service(page: Page, ears: Ears) -> None:
    """Ask a few times, then look at models, readiness and latency."""
    find(page, ears)
    for side in ("left", "right", "unknown") * 6:
        with page.expect_response("**/v1/embed*"):
            page.locator(f"#query-slot input[value={side}] + span").click()
    show(page, "service")
    page.locator("#models .model").first.wait_for()


SHOTS = (
    Shot("find", find),
    Shot("find-dark", find, scheme="dark"),
    Shot("why", explain),
    Shot("compare", compare),
    Shot("eigenears", eigenears, screen=(1280, 860)),
    Shot("gallery", gallery),
    Shot("service", service),
    Shot("phone", find, screen=(360, 780)),
)


def show(page: Page, view: str) -> None:
    """Go to a view of the page."""
    page.locator(f"nav a[href='#{view}']").click()


@contextmanager
def browser() -> Iterator[Browser]:
    """Headless Chromium, Debian's where it is installed."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        yield opened
        opened.close()


def take(chromium: Browser, address: str, shot: Shot, ears: Ears) -> bytes:
    """One screenshot as PNG bytes."""
    width, height = shot.screen
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=shot.scheme)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.locator("#facts div").first.wait_for()
    shot.steps(page, ears)
    page.wait_for_timeout(500)  # pictures fade in and colours settle
    png = page.screenshot()
    page.close()
    return png


def within_limit(png: bytes) -> bytes:
    """The PNG with as many colours as fit into LIMIT_BYTES."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64):
        buffer = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= LIMIT_BYTES:
            return buffer.getvalue()
    raise SystemExit(f"a screenshot of {picture.size} px takes {buffer.tell()} bytes with {colours} colours: too large")


def closer(picture: Path, folder: Path) -> Path:
    """A demo picture cut to its ear box, as a user who marks the ear would have it; any other picture as it is."""
    boxes = {record.path.name: record.box for record in load_records(CROPS.parent / "metadata.csv")}
    if picture.name not in boxes:
        return picture
    path = folder / picture.with_suffix(".png").name
    path.write_bytes(to_png(frame(read(picture), boxes[picture.name], Framing(size_px=256))))
    return path


def main(argv: list[str]) -> int:
    """Take all pictures, or those named by --only."""
    parser = argparse.ArgumentParser(prog="make_screenshots.py", description=__doc__.splitlines()[0])
    parser.add_argument("address", help="base URL of the service")
    parser.add_argument("--query", type=Path, default=CROPS / "s101_0129_02.jpg", help="picture to ask with")
    parser.add_argument("--other", type=Path, default=CROPS / "s101_0129_04.jpg", help="picture of the same person")
    parser.add_argument("--only", nargs="*", choices=[shot.name for shot in SHOTS], help="take only these")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="folder to write to")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = [shot for shot in SHOTS if not options.only or shot.name in options.only]
    with browser() as chromium, tempfile.TemporaryDirectory() as folder:
        ears = Ears(closer(options.query, Path(folder)), closer(options.other, Path(folder)))
        for shot in wanted:
            path = options.out / f"page-{shot.name}.png"
            path.write_bytes(within_limit(take(chromium, options.address, shot, ears)))
            print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
