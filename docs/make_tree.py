"""Writes docs/modules.md, the annotated tree: every module of every room with the first sentence of its docstring.

python docs/make_tree.py            write it
python docs/make_tree.py --check    exit 1 where the page differs
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "modules.md"
BEGIN, END = "<!-- tree: python docs/make_tree.py -->\n```text\n", "```\n<!-- end of tree -->"
ROOMS = {
    "common": "what several rooms need alike: versions, the machine, files and records",
    "bundle": "what a served model is and how it runs",
    "measure": "numbers on vectors and pictures",
    "training": "pictures of ears -> checkpoint",
    "export": "checkpoint -> bundle",
    "index": "vectors -> neighbours, durably",
    "serve": "a bundle put to work over HTTP",
    "client": "the Python client of the service, and the shell verbs built on it",
    "synth": "rendered ears: a training set from nothing",
    "demo": "the whole chain on rendered ears",
    "bench": "measurements, beside a peer or a limit in one run",
}


def tracked(folder: str) -> list[Path]:
    """Tracked modules below a folder, in the order of their names."""
    command = ["git", "ls-files", f"{folder}/*.py"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [Path(name) for name in names if not name.endswith("__init__.py") and "/versions/" not in name]


def caption(path: Path) -> str:
    """The first sentence of a module's docstring, on one line."""
    text = " ".join((ast.get_docstring(ast.parse((ROOT / path).read_text())) or "").split("\n\n")[0].split())
    return re.split(r"(?<!et al)\. ", text)[0].rstrip(".:")


def row(indent: int, name: str, words: str) -> str:
    """One line of the tree."""
    return f"{'  ' * indent}{name:<{30 - 2 * indent}} {words}"


def tree() -> str:
    """The whole tree as text."""
    lines = [row(0, "ear_teacher.py", caption(Path("ear_teacher.py")))]
    for room, words in ROOMS.items():
        lines.append(row(0, f"{room}/", words))
        lines += [row(1, str(path.relative_to(room)), caption(path)) for path in tracked(room)]
    lines.append(row(0, "tests/", "mirror the rooms; named as facts"))
    lines.append(row(0, "docs/", "guides, and what was measured"))
    lines.append(row(0, "deploy/", "compose, Kubernetes, dashboards"))
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check."""
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    written, tail = rest.split(END)
    if "--check" not in sys.argv:
        PAGE.write_text(head + BEGIN + tree() + END + tail)
        return 0
    if written == tree():
        return 0
    print("docs/modules.md is out of date: run python docs/make_tree.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
