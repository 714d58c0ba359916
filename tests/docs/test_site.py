"""The site builds strictly, needs no other host, and shows every page."""

import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.diagrams import DRAWN, diagrams

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class Loads(html.parser.HTMLParser):
    """Addresses that a browser would fetch by itself when the page opens."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "image"):
            self.found.append(given.get("src") or given.get("href"))
        if tag == "link" and given.get("rel") != "canonical":
            self.found.append(given.get("href"))


def build(folder, *options):
    """`mkdocs build --strict`; not --quiet, which would hide the warnings from its own strictness."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", *options]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, "--site-dir", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def nav():
    found, waiting = [], [yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]]
    while waiting:
        entry = waiting.pop()
        found += [entry] if isinstance(entry, str) else []
        waiting += entry if isinstance(entry, list) else entry.values() if isinstance(entry, dict) else []
    return found


def test_the_navigation_shows_every_page():
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert sorted(nav()) == sorted(pages), "mkdocs.yml's nav and docs/*.md differ"


def test_the_site_builds_without_a_broken_link(site):
    assert {f"{Path(page).stem}.html" for page in nav()} <= {page.name for page in site.glob("*.html")}


def test_a_broken_link_would_be_found(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](nowhere.md)\n")
    rules = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["validation"]
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump({"site_name": "x", "strict": True, "validation": rules}))
    assert build(tmp_path).returncode != 0


def test_no_page_loads_anything_from_another_host(site):
    for page in site.rglob("*.html"):
        loads = Loads()
        loads.feed(page.read_text())
        outside = [address for address in loads.found if address and urlsplit(address).netloc]
        assert outside == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text()), sheet.name


def test_every_diagram_is_drawn_and_none_is_stale():
    assert {path.name for path in DRAWN.glob("*.svg")} == set(diagrams(DOCS)), "run `make diagrams`"


def test_diagrams_are_pictures_on_the_site(site):
    for page in site.glob("*.html"):
        assert "language-mermaid" not in page.read_text()
        assert 'class="mermaid"' not in page.read_text()
    assert '<figure class="diagram"><svg' in (site / "architecture.html").read_text()


def test_only_the_documentation_is_published(site):
    kinds = {path.suffix for path in site.rglob("*") if path.is_file()}
    assert kinds <= {".html", ".css", ".js", ".map", ".svg", ".png", ".jpg", ".json", ".xml", ".gz", ".txt", ".ico"}
