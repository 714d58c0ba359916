"""What browser tests share: how Chromium is started, what it watches for, how an ear is given to the page.

Knows no service; the page's address is the test's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000
QUERY, FIRST, SECOND = "#query-slot", "#first-slot", "#second-slot"
"""The places for an ear: of the Find view, and the two of the Compare view."""
PICTURE = f"{QUERY} [data-part=file]"
EARS = Path(__file__).parents[3] / "demo" / "ears" / "crops"


@dataclass
class Watch:
    """What went wrong in a browser context. `refusals`: the statuses >= 400 that the test expects."""

    refusals: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def follow(self, page: Page) -> None:
        """Listen to one page."""
        page.on("pageerror", lambda error: self.failures.append(f"script: {error}"))
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("request", lambda request: self._request(request.url))
        page.on("response", lambda response: self._response(response.status, response.url))

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.failures.append(f"console: {text}")

    def _request(self, url: str) -> None:
        if url.startswith("http"):
            self.hosts.add(urlsplit(url).netloc)

    def _response(self, status: int, url: str) -> None:
        if status >= 400 and status not in self.refusals:
            self.failures.append(f"{status} from {url}")


def ear(subject: int, shot: int) -> Path:
    """A demo ear: rendered person 0..25, picture 0..7."""
    return EARS / f"s101_{subject:04d}_{shot:02d}.jpg"


def find(page: Page, address: str, picture: Path) -> None:
    """Open the page, choose a picture, wait for the answer."""
    page.goto(address)
    page.set_input_files(PICTURE, picture)
    page.locator("#hits").wait_for()


def part(page: Page, name: str, slot: str = QUERY) -> Locator:
    """A part of a slot: photo, box, note, left, width, ..."""
    return page.locator(f"{slot} [data-part={name}]")


def choose_side(page: Page, side: str, slot: str = QUERY) -> None:
    """Press one of Left, Right, Don't know."""
    page.locator(f"{slot} input[value={side}] + span").click()


def open_everything(page: Page) -> None:
    """Unfold all that can be unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
