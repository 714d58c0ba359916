"""Cut a release: `make release VERSION=0.2.0`. One commit and one annotated tag, made from a clean tree.

Bumps the version wherever it is written, gives CHANGELOG's Unreleased notes their heading and starts an empty one, and
puts the notes into the tag. It pushes nothing: the last line it prints says how.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
IMAGE_TAG = re.compile(r"^(\s*newTag: \"?)\d+\.\d+\.\d+", re.MULTILINE)  # of the kustomizations


class ReleaseError(Exception):
    """The tree, the version or the notes are not fit for a release; the message says what to do."""


def numbers(version: str) -> tuple[int, int, int]:
    """`"1.2.3"` -> `(1, 2, 3)`."""
    match = VERSION.fullmatch(version)
    if match is None:
        raise ReleaseError(f"VERSION={version!r} is no version: give MAJOR.MINOR.PATCH, such as 0.2.0")
    return int(match[1]), int(match[2]), int(match[3])


def current_version(pyproject: str) -> str:
    """The version that the text of pyproject.toml states."""
    match = re.search(r'^version = "(.+?)"$', pyproject, re.MULTILINE)
    if match is None:
        raise ReleaseError('pyproject.toml has no line version = "..."')
    return match[1]


def bump(pyproject: str, version: str) -> str:
    """The text of pyproject.toml with the new version."""
    return re.sub(r'^version = ".+?"$', f'version = "{version}"', pyproject, count=1, flags=re.MULTILINE)


def close_notes(changelog: str, version: str, date: datetime.date) -> tuple[str, str]:
    """The text of CHANGELOG.md with Unreleased's notes under the version's heading, and those notes."""
    if f"## [{version}]" in changelog:
        raise ReleaseError(f"CHANGELOG.md already has a heading for {version}: give a later VERSION")
    match = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    if match is None or not match[1].strip():
        raise ReleaseError("CHANGELOG.md has no notes under '## [Unreleased]': write what changed, then release")
    notes = match[1].strip()
    closed = f"## [Unreleased]\n\n## [{version}] - {date.isoformat()}\n\n{notes}\n\n"
    return (changelog[: match.start()] + closed + changelog[match.end() :]).rstrip() + "\n", notes


def check_order(current: str, version: str, changelog: str) -> None:
    """A release goes up; the current version itself may be released once, when it has no heading yet."""
    is_first = version == current and f"## [{current}]" not in changelog
    if numbers(version) <= numbers(current) and not is_first:
        raise ReleaseError(f"VERSION={version} is not later than {current}: give a later one")


def git(root: Path, *arguments: str) -> str:
    """Run git in the tree and return what it printed."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def release(root: Path, version: str, date: datetime.date) -> str:
    """Write, commit and tag; returns the tag's name. The tree must be clean before, and is clean after."""
    if changed := git(root, "status", "--porcelain", "--untracked-files=no"):
        raise ReleaseError(f"these files are not committed: commit or undo them first\n{changed}")
    pyproject, changelog = root / "pyproject.toml", root / "CHANGELOG.md"
    check_order(current_version(pyproject.read_text()), version, changelog.read_text())
    text, notes = close_notes(changelog.read_text(), version, date)
    changelog.write_text(text)
    pyproject.write_text(bump(pyproject.read_text(), version))
    for manifest in (root / "deploy").rglob("kustomization.yaml"):
        manifest.write_text(IMAGE_TAG.sub(rf"\g<1>{version}", manifest.read_text()))
    git(root, "commit", "--all", "--message", f"Release {version}")
    git(
        root, "tag", "--annotate", f"v{version}", "--cleanup=verbatim", "--message", f"ear-teacher {version}\n\n{notes}"
    )
    return f"v{version}"


def main(argv: list[str]) -> int:
    """`python deploy/release.py VERSION`."""
    parser = argparse.ArgumentParser(prog="make release", description="Cut a release from a clean tree.")
    parser.add_argument("version", help="MAJOR.MINOR.PATCH, later than the current one")
    try:
        tag = release(ROOT, parser.parse_args(argv).version, datetime.date.today())
    except ReleaseError as error:
        print(f"make release: {error}", file=sys.stderr)
        return 2
    print(f"{tag} is committed and tagged. Publish it with: git push --follow-tags")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
