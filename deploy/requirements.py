"""Print the requirements of the project with the extras named: `python requirements.py serve cpu > requirements.txt`.

For the image: what is installed there is the libraries alone, with the standard library's means, before any source is
copied, so that a change of source does not install them anew. Knows pyproject.toml beside it or one folder up.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def requirements(project: dict[str, list[str] | dict[str, list[str]]], extras: list[str]) -> list[str]:
    """The dependencies of `[project]` and of its extras, in order. KeyError-free: an unknown extra exits with names."""
    optional = project["optional-dependencies"]
    assert isinstance(optional, dict), "pyproject.toml: optional-dependencies is a table"
    if unknown := [extra for extra in extras if extra not in optional]:
        sys.exit(f"requirements.py: no extra {unknown[0]!r}; there are: {', '.join(optional)}")
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    beside, above = HERE / "pyproject.toml", HERE.parent / "pyproject.toml"
    text = (beside if beside.exists() else above).read_text()
    print(*requirements(tomllib.loads(text)["project"], sys.argv[1:]), sep="\n")
