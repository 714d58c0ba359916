"""What browser tests share: how Chromium is started, what it watches for, how an ear is given to the page.

Knows no service; the page's address is the test's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000
POLICY = "default-src 'self'; img-src 'self' data: blob:"
"""The page holds under this policy; it is put on the page even where the service sends none."""
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


def is_front_page(url: str) -> bool:
    """Whether an address is that of the page itself."""
    return urlsplit(url).path == "/"


def enforce_policy(route) -> None:
    """Serve the page with POLICY, so that a policy of the service that is laxer hides nothing."""
    response = route.fetch()
    route.fulfill(response=response, headers={**response.headers, "content-security-policy": POLICY})


def ear(subject: int, shot: int) -> Path:
    """A demo ear: rendered person 0..25, picture 0..7."""
    return EARS / f"s101_{subject:04d}_{shot:02d}.jpg"


def find(page: Page, address: str, picture: Path) -> None:
    """Open the page, choose a picture, wait for the answer."""
    page.goto(address)
    page.set_input_files("#file", picture)
    page.locator("#hits").wait_for()


def choose_side(page: Page, side: str) -> None:
    """Press one of Left, Right, Don't know."""
    page.locator(f"input[name=side][value={side}] + span").click()


def open_everything(page: Page) -> None:
    """Unfold all that can be unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
