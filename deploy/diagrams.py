"""Draw the mermaid diagrams of docs/ as SVG files: `make diagrams`, after one was changed.

mermaid itself (from the npm registry, for the moment of drawing) runs in the Chromium that the browser tests use. The
files are kept, named by the text they were drawn from, so that the site needs neither a script nor another host.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRAWN = ROOT / "docs" / "pictures" / "diagrams"
MERMAID = "mermaid@11.12.0"
FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS = {
    "startOnLoad": False,
    "theme": "neutral",
    "fontFamily": "system-ui, DejaVu Sans, sans-serif",
    "themeVariables": {"fontSize": "18px"},
    "flowchart": {
        "htmlLabels": False,  # text in an SVG proper, not HTML inside one
        "nodeSpacing": 24,
        "rankSpacing": 24,
        "padding": 8,
    },
}

RENDER = """async ([id, text]) => {
  document.body.innerHTML = (await mermaid.render(id, text)).svg;
  const svg = document.body.firstElementChild, box = svg.getBBox(), edge = 8;
  const [width, height] = [box.width + 2 * edge, box.height + 2 * edge];
  svg.setAttribute("viewBox", [box.x - edge, box.y - edge, width, height].map(Math.round).join(" "));
  svg.setAttribute("width", Math.round(width));
  svg.removeAttribute("style");
  return svg.outerHTML;
}"""  # mermaid's own box cuts labels that curve out of it


def drawn_as(text: str) -> str:
    """The file's name for a diagram: a fingerprint of its text."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16] + ".svg"


def diagrams(docs: Path) -> dict[str, str]:
    """File name -> mermaid text, of every fence in the pages."""
    texts = [text for page in sorted(docs.glob("**/*.md")) for text in FENCE.findall(page.read_text())]
    return {drawn_as(text): text for text in texts}


def fetch_mermaid(folder: Path) -> Path:
    """mermaid.min.js out of the npm package. The package is only unpacked; none of its install scripts run."""
    subprocess.run(["npm", "pack", "--silent", MERMAID], cwd=folder, check=True, capture_output=True)
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder)
    return folder / "package" / "dist" / "mermaid.min.js"


def draw(texts: dict[str, str], script: Path) -> dict[str, str]:
    """File name -> SVG."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(path=script)
        page.evaluate("settings => mermaid.initialize(settings)", SETTINGS)
        found = {name: page.evaluate(RENDER, [f"d{name[:8]}", text]) for name, text in texts.items()}
        browser.close()
    return found


def main() -> int:
    """Draw what is not drawn yet, delete what no page shows any more."""
    wanted = diagrams(ROOT / "docs")
    DRAWN.mkdir(parents=True, exist_ok=True)
    for stale in {path.name for path in DRAWN.glob("*.svg")} - set(wanted):
        (DRAWN / stale).unlink()
    missing = {name: text for name, text in wanted.items() if not (DRAWN / name).exists()}
    if missing:
        with tempfile.TemporaryDirectory() as folder:
            for name, svg in draw(missing, fetch_mermaid(Path(folder))).items():
                (DRAWN / name).write_text(svg + "\n")
    print(f"{len(missing)} drawn, {len(wanted)} in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
