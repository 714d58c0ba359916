"""Which code and which versions run, and when: git commit, installed packages, time stamp."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

COMMIT_FILE = "COMMIT"


def commit() -> str:
    """The git commit of this tree, with `+` where files differ from it; an image carries EAR_TEACHER_COMMIT instead.

    An archive of the tree without git has it in a file.
    """
    if from_environment := os.environ.get("EAR_TEACHER_COMMIT"):
        return from_environment
    here = Path(__file__).resolve().parents[1]
    if (here / COMMIT_FILE).is_file():
        return (here / COMMIT_FILE).read_text().strip()
    command = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    try:
        return subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def installed(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def utc_now() -> str:
    """ISO 8601, UTC, whole seconds: `2026-11-28T07:30:00Z`."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
