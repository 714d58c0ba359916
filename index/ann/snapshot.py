"""Snapshots of one space's FAISS index on disk, in generations: written whole or not at all, checked before use.

A snapshot says up to which change it is true. It is a cache: one that is corrupt, foreign or from another life of the
truth is set aside with a log line, and the index is rebuilt. FAISS itself neither syncs nor checksums what it writes.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from common.durable_files import rename, sha256_file, sync, write_json
from index.ann.approximate import ApproximateIndex
from index.ann.brute_force import BATCH
from index.ann.faiss_neighbours import FaissNeighbours
from index.ann.filters import Labels
from index.ann.flat import FlatIndex
from index.ann.hnsw import HnswIndex
from index.ann.ivf_rabitq import IvfIndex
from index.neighbours import Entries, Keys
from index.store import rows
from index.store.changelog import labels_of
from index.store.truth import Truth

log = logging.getLogger(__name__)

FORMAT = 2  # 1 had graphs over every number of a vector
INDEX, MANIFEST = "index.faiss", "snapshot.json"  # the manifest is written last: its presence means complete
TEMPORARY, ASIDE = "writing-", "set-aside-"
KEPT_GENERATIONS = 2


class UnusableSnapshot(Exception):
    """Why a snapshot cannot be used. Never leaves this room."""


@dataclass(frozen=True)
class Stamp:
    """What a snapshot is of: space, life of the truth, and the last change that it surely holds."""

    space_id: str
    epoch: str
    sequence: int
    dim: int


class Snapshots:
    """The generations of one space in `folder`, each a subfolder named by its sequence number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(leftover)

    def write(self, index: Any, stamp: Stamp, deleted_sequence: int, extra: dict[str, Any]) -> Path:
        """Write a generation durably; remove older ones, and those that hold something deleted since.

        `extra` is kept in the manifest and comes back from `load`.
        """
        target = self._folder / f"{stamp.sequence:020d}"
        working = self._folder / f"{TEMPORARY}{os.getpid()}"
        shutil.rmtree(working, ignore_errors=True)
        working.mkdir()
        faiss.write_index(index, str(working / INDEX))
        sync(working / INDEX)
        facts = {**extra, "format": FORMAT, **asdict(stamp), "count": int(index.ntotal), "faiss": faiss.__version__}
        facts |= {"size_bytes": (working / INDEX).stat().st_size, "sha256": sha256_file(working / INDEX)}
        write_json(working / MANIFEST, facts)
        sync(working)
        shutil.rmtree(target, ignore_errors=True)
        rename(working, target)
        self._prune(deleted_sequence)
        return target

    def load(self, stamp: Stamp) -> tuple[Any, dict[str, Any]] | None:
        """The newest usable FAISS index and its manifest; unusable ones are set aside. None: there is none."""
        for generation in reversed(self.generations()):
            try:
                return read_generation(generation, stamp)
            except UnusableSnapshot as reason:
                self._set_aside(generation, str(reason))
        return None

    def remove(self) -> None:
        """Delete every generation, and the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def generations(self) -> list[Path]:
        """Complete generations, the oldest first."""
        return sorted(path for path in self._folder.iterdir() if path.name.isdigit())

    def _set_aside(self, generation: Path, reason: str) -> None:
        aside = self._folder / f"{ASIDE}{generation.name}"
        shutil.rmtree(aside, ignore_errors=True)
        rename(generation, aside)
        log.warning("snapshot %s is set aside as %s and will be rebuilt: %s", generation, aside.name, reason)

    def _prune(self, deleted_sequence: int) -> None:
        generations = self.generations()
        stale = [path for path in generations[:-1] if int(path.name) < deleted_sequence]
        aside = [path for path in self._folder.glob(f"{ASIDE}*") if int(path.name[len(ASIDE) :]) < deleted_sequence]
        for path in {*stale, *aside, *generations[:-KEPT_GENERATIONS]}:
            shutil.rmtree(path)


def read_generation(folder: Path, expected: Stamp) -> tuple[Any, dict[str, Any]]:
    """Read and check one generation against the truth's stamp. Raises UnusableSnapshot with the reason."""
    try:
        facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        check_facts(facts, expected)
        if sha256_file(folder / INDEX) != facts["sha256"]:
            raise UnusableSnapshot(f"{INDEX} does not have the checksum that {MANIFEST} names")
        index = faiss.read_index(str(folder / INDEX))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UnusableSnapshot(f"{type(error).__name__}: {error}") from error
    if index.d != expected.dim or index.ntotal != facts["count"]:
        raise UnusableSnapshot(f"it holds {index.ntotal} vectors of {index.d} numbers, not what its manifest says")
    return index, facts


def check_facts(facts: dict[str, Any], expected: Stamp) -> None:
    """A snapshot must be of this space and this life of the truth, and not from its future."""
    if facts["format"] != FORMAT:
        raise UnusableSnapshot(f"its format is {facts['format']}, this version reads {FORMAT}")
    for name in ("space_id", "epoch", "dim"):
        if facts[name] != getattr(expected, name):
            raise UnusableSnapshot(f"its {name} is {facts[name]}, the gallery's is {getattr(expected, name)}")
    if facts["sequence"] > expected.sequence:
        raise UnusableSnapshot(f"it is true up to change {facts['sequence']}, the gallery has only {expected.sequence}")


def fill_from_snapshot(
    neighbours: FaissNeighbours, truth: Truth, space_id: str, snapshot: tuple[Any, dict[str, Any]] | None
) -> int:
    """Fill empty neighbours from a loaded snapshot and replay the rest; returns how many vectors were replayed.

    Compared by keys, not only by the sequence number: what the snapshot lacks is read, what it has too much is dead.
    """
    labels = Labels()
    with truth.read() as connection:
        for part, part_labels in rows.labels(connection, space_id):
            labels.put(part, part_labels)
    keys, missing = labels.keys(), labels.keys()
    if snapshot is not None:
        exact, large = unwrap(*snapshot, neighbours.dim)
        missing = np.setdiff1d(keys, exact.keys() if large is None else large.keys())
        labels.remove(missing)
        neighbours.adopt(exact, large, labels)
    for start in range(0, len(missing), BATCH):
        put_stored(neighbours, truth, space_id, missing[start : start + BATCH])
    log.info("space %s: %d vectors from a snapshot, %d replayed", space_id, len(keys) - len(missing), len(missing))
    return len(missing)


def put_stored(neighbours: FaissNeighbours, truth: Truth, space_id: str, keys: Keys) -> None:
    """Put keys with their stored embeddings and labels."""
    with truth.read() as connection:
        stored, matrix = rows.embeddings(connection, space_id, neighbours.dim, keys.tolist())
        neighbours.put(Entries(stored, labels_of(connection, stored.tolist(), {}), matrix))


def unwrap(index: Any, facts: dict[str, Any], dim: int) -> tuple[FlatIndex, ApproximateIndex | None]:
    """The parts that a snapshot holds."""
    match facts.get("kind", "exact"):
        case "hnsw":
            return FlatIndex(dim), HnswIndex(dim, index, facts["effort"], equal=facts.get("equal", ()))
        case "ivf":
            return FlatIndex(dim), IvfIndex(dim, index=index, effort=facts["effort"])
        case _:
            return FlatIndex(dim, index), None
