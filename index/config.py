"""How an embedded gallery behaves, as one frozen value that checks itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GalleryConfig:
    """The defaults suit one service on one machine."""

    threads: int = 1  # FAISS threads per search; searches of different callers run beside each other
    snapshot_changes: int = 5000  # changes after which the index is saved; a restart replays what came later
    snapshot_s: float = 300.0  # seconds after which fewer changes are saved
    reserve_bytes: int = 64 << 20  # free disk below which nothing more is enrolled, so that deleting still works

    def __post_init__(self) -> None:
        for name in ("threads", "snapshot_changes", "snapshot_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0")
        if self.reserve_bytes < 0:
            raise ValueError(f"reserve_bytes is {self.reserve_bytes}: it must be at least 0")
