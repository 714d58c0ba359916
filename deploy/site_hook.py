"""What the documentation site needs beyond Markdown (an mkdocs hook): drawn diagrams, and links out of docs/.

Mermaid fences stay in the pages, where source hosts draw them; the site shows the SVG that `make diagrams` kept. A link
to a file of the source tree outside docs/ cannot be followed on the site, so there it becomes the file's name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from deploy.diagrams import DRAWN, FENCE, ROOT, drawn_as

OUTWARD = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """mkdocs calls this with the text of each page."""
    return OUTWARD.sub(_named, FENCE.sub(_drawn, markdown))


def _drawn(fence: re.Match[str]) -> str:
    path = DRAWN / drawn_as(fence[1])
    if not path.exists():
        raise FileNotFoundError(f"a diagram was changed and not drawn: run `make diagrams`\n{fence[0]}")
    return f'<figure class="diagram">{path.read_text().strip()}</figure>\n'


def _named(link: re.Match[str]) -> str:
    target = (ROOT / "docs" / link[2]).resolve()
    if not target.exists():
        raise FileNotFoundError(f"a page links to {link[2]}, which is not in the source tree")
    name = Path(target).relative_to(ROOT)
    text = link[1].strip("`")
    return f"`{name}`" if text == str(name) else f"{link[1]} (`{name}` in the source tree)"
