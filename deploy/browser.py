"""A browser for the tests of the page: finds one, or installs one where that is possible.

    python -m deploy.browser        used by the set-up of `make test`

Knows Debian's and other systems' Chromium and Chrome, and Playwright's own build. Imports playwright only when asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
ADVICE = "no browser for the tests of the page: install Chromium or Chrome, or run `playwright install chromium`"
LONGEST_DOWNLOAD_S = 300
LONGEST_PACKAGE_S = 600


def find() -> Path | None:
    """The executable of a browser that Playwright can drive; None where there is none."""
    for name in NAMES:
        if path := shutil.which(name):
            return Path(path)
    return next((path for path in (MAC, *playwrights_own()) if path.exists()), None)


def playwrights_own() -> list[Path]:
    """Where Playwright keeps its own Chromium; empty without Playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        return []
    with sync_playwright() as playwright:
        return [Path(playwright.chromium.executable_path)]


def install() -> bool:
    """Try Playwright's download, then the system's package where this user may install one."""
    steps = [([sys.executable, "-m", "playwright", "install", "chromium"], LONGEST_DOWNLOAD_S)]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        steps.append((["apt-get", "update", "-q"], LONGEST_PACKAGE_S))
        steps.append((["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"], LONGEST_PACKAGE_S))
    for command, limit_s in steps:
        print(f"  {' '.join(command)}", flush=True)
        try:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit_s)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if find() is not None:
            return True
    return False


def main() -> int:
    """Say what there is. Without a browser the tests of the page are skipped, so this does not fail."""
    path = find()
    if path is None:
        print("No browser for the tests of the page; trying to install Chromium:", flush=True)
        path = find() if install() else None
    print(f"Browser of the tests: {path}" if path else f"Skipped later: {ADVICE}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
