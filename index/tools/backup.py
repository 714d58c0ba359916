"""Backups of an embedded gallery: a consistent copy of its truth while others write, checked before it is restored.

Neighbours are not copied: they are rebuilt from the truth. The copy is made by SQLite's own online backup.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.durable_files import rename, sha256_file, sync, write_json
from index.errors import BackupRefused
from index.store.active_space import DATABASE
from index.store.lock import FolderLock

MANIFEST = "backup.json"  # the manifest is written last: its presence means complete
FORMAT = 1


@dataclass(frozen=True)
class BackupFacts:
    """What a backup holds: the state of the gallery after change number `sequence`."""

    format: int
    created: str
    sequence: int
    items: int
    spaces: tuple[str, ...]
    size_bytes: int
    sha256: str


def backup(gallery: Path, target: Path) -> BackupFacts:
    """Copy the gallery in folder `gallery` to the new folder `target`, while its owner goes on writing.

    Raises BackupRefused if there is no gallery, if `target` exists, or if the copy is not sound.
    """
    database = gallery / DATABASE
    if not database.is_file():
        raise BackupRefused(f"{gallery} holds no gallery ({DATABASE} is absent)")
    if target.exists():
        raise BackupRefused(f"{target} exists: give a new folder")
    working = target.with_name(f".{target.name}.writing-{os.getpid()}")
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir(parents=True, mode=0o700)
    try:
        # One step: SQLite holds one snapshot of its write-ahead log, and no writer can make it begin again.
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(working / DATABASE)) as copy:
            source.backup(copy)
        facts = examine(working / DATABASE)
        sync(working / DATABASE)
        write_json(working / MANIFEST, asdict(facts))
        sync(working)
        rename(working, target)
    except BaseException as error:
        shutil.rmtree(working, ignore_errors=True)
        if isinstance(error, sqlite3.DatabaseError):
            raise BackupRefused(
                f"{database} cannot be copied ({error}): the file is damaged or the disk is full"
            ) from error
        raise
    return facts


def restore(source: Path, gallery: Path) -> BackupFacts:
    """Make the folder `gallery` from a backup. Raises BackupRefused if it holds a gallery or the backup is not sound.

    The restored truth begins a new epoch, so that snapshots of the life before are never taken for its own.
    """
    facts = read_backup(source)
    if (gallery / DATABASE).exists():
        raise BackupRefused(f"{gallery} already holds a gallery: give another folder, or move that one away")
    gallery.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FolderLock(gallery)
    try:
        working = gallery / f"{DATABASE}.restoring"
        shutil.copyfile(source / DATABASE, working)
        with closing(sqlite3.connect(working)) as connection, connection:
            connection.execute("UPDATE ledger SET epoch = ?", (secrets.token_hex(16),))
        sync(working)
        for leftover in ("-wal", "-shm"):  # of a database that was moved away: SQLite would take them for this one's
            (gallery / f"{DATABASE}{leftover}").unlink(missing_ok=True)
        rename(working, gallery / DATABASE)
    finally:
        lock.release()
    return facts


def read_backup(source: Path) -> BackupFacts:
    """A backup's facts, after its checksum was compared. Raises BackupRefused."""
    try:
        facts = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        expected = BackupFacts(**{**facts, "spaces": tuple(facts["spaces"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackupRefused(f"{source} is no complete backup: {MANIFEST} cannot be read ({error})") from None
    if expected.format != FORMAT:
        raise BackupRefused(f"{source} is a backup of format {expected.format}: this version reads format {FORMAT}")
    if not (source / DATABASE).is_file() or sha256_file(source / DATABASE) != expected.sha256:
        raise BackupRefused(f"{source / DATABASE} is not the file that {MANIFEST} describes: the backup is damaged")
    return expected


def examine(database: Path) -> BackupFacts:
    """Check a copy's structure and read what it holds. Raises BackupRefused."""
    with closing(sqlite3.connect(database)) as connection:
        verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise BackupRefused(f"the copy is not sound ({verdict}): the gallery's own file is damaged")
        connection.execute("PRAGMA journal_mode=DELETE")  # a backup is one file
        sequence, items = connection.execute("SELECT seq, item_count FROM ledger").fetchone()
        spaces = tuple(row[0] for row in connection.execute("SELECT space_id FROM spaces ORDER BY created"))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    size = database.stat().st_size
    return BackupFacts(FORMAT, created, sequence, items, spaces, size, sha256_file(database))
