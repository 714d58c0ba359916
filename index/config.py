"""How an embedded gallery behaves, as one frozen value that checks itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from common.machine import usable_cpus


@dataclass(frozen=True)
class GalleryConfig:
    """The defaults suit one service on one machine."""

    neighbours: Literal["auto", "exact", "hnsw", "ivf"] = "auto"  # see ann/choice.py for the rule of "auto"
    exact_items: int = 50_000  # up to here every vector is compared: 1 ms per 4,000 vectors of 1024 numbers
    memory_bytes: int | None = None  # for the index; None: half of what the process may use
    recall_target: float = 0.97  # recall@10 that an approximate index is tuned to, on the gallery's own vectors
    threads: int = 1  # FAISS threads per search; searches of different callers run beside each other
    build_threads: int = 0  # FAISS threads while an index is rebuilt in the background; 0: all cores but one
    snapshot_changes: int = 5000  # changes after which the index is saved, or 5 % of the gallery if that is more
    snapshot_s: float = 300.0  # seconds after which a deleted vector leaves the snapshots on disk
    reserve_bytes: int = 64 << 20  # free disk below which nothing more is enrolled, so that deleting still works

    def __post_init__(self) -> None:
        if self.neighbours not in ("auto", "exact", "hnsw", "ivf"):
            raise ValueError(f"neighbours is {self.neighbours!r}: allowed are 'auto', 'exact', 'hnsw' and 'ivf'")
        for name in ("exact_items", "threads", "snapshot_changes", "snapshot_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0")
        for name in ("build_threads", "reserve_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 0")
        if self.memory_bytes is not None and self.memory_bytes <= 0:
            raise ValueError(f"memory_bytes is {self.memory_bytes}: it must be above 0, or None for the default")
        if not 0.5 <= self.recall_target < 1.0:
            raise ValueError(f"recall_target is {self.recall_target}: it must be at least 0.5 and below 1")

    def threads_to_build(self) -> int:
        """FAISS threads for building in the background."""
        return self.build_threads or max(1, usable_cpus() - 1)
