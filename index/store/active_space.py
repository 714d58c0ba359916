"""Which space of an embedded gallery answers, asked of its file before anything heavy is imported."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE = "gallery.sqlite"


def active_space(folder: Path) -> str | None:
    """The id of the active space; None where there is no gallery yet, or it is of a version without spaces."""
    file = folder / DATABASE
    if not file.is_file():
        return None
    try:
        with closing(sqlite3.connect(file)) as connection:
            row = connection.execute("SELECT space_id FROM spaces WHERE state = 'active'").fetchone()
    except sqlite3.DatabaseError:  # opening the gallery says what is wrong with it
        return None
    return None if row is None else str(row[0])
