"""A bundle's folder is there whole or not at all: written beside its target, then moved into place.

Knows folders and renames, not what is in a bundle.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.errors import TargetExists


def refuse_existing(out: Path, force: bool) -> None:
    """Raise TargetExists where `out` must not be replaced: without `force`, and a folder that is no bundle at all."""
    if out.exists() and not force:
        raise TargetExists(f"--out {out} exists already; give --force to replace it, or another folder")
    if out.exists() and any(out.iterdir()) and not (out / "manifest.json").is_file():
        raise TargetExists(
            f"--out {out} is not a bundle (it has no manifest.json); it is not replaced, even by --force"
        )


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A folder beside `out`, deleted afterwards unless it was moved away."""
    out = out.resolve()  # where a link points, so that moving crosses no file system
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    folder.chmod(0o755)  # mkdtemp makes it private
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_into_place(folder: Path, out: Path, force: bool) -> None:
    """Rename the finished folder to `out`. The bundle it replaces is deleted only then; a link keeps pointing there."""
    out = out.resolve()
    if not out.exists():
        os.rename(folder, out)
        return
    refuse_existing(out, force)
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    os.rename(out, old)
    os.rename(folder, out)
    shutil.rmtree(old)
