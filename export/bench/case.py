"""What a bench runs and what comes out: plain data that travels as JSON between processes and into reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

STAGES = ("decode", "queue", "compute", "serialise")
"""Of a request, end to end."""
PARTS = ("host_to_device", "compute", "device_to_host")
"""Of a batch on a GPU, where the runtime tells them apart."""


@dataclass(frozen=True)
class Job:
    """One runtime and precision, measured at several batch sizes in a process of its own."""

    bundle: str
    runtime: str
    precision: str
    batches: tuple[int, ...]
    threads: int
    """Of the CPU; 0: one a physical core."""
    window_s: float
    gflop: float | None = None
    """Arithmetic of the encoder's matrix products for one picture, 1e9 operations; None: unknown."""
    pictures: tuple[str, ...] = ()
    """Picture files for the end-to-end figures; none: the golden crops as JPEG."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """From `to_dict` or its JSON."""
        tuples = {name: tuple(values[name]) for name in ("batches", "pictures")}
        return cls(**{**values, **tuples})


@dataclass
class Row:
    """The figures of one runtime, precision and batch. None: not measured, `Result.notes` say why."""

    runtime: str
    precision: str
    batch: int
    device: dict[str, Any]
    """`Timing.to_dict()` of the session alone."""
    device_parts_ms: dict[str, float] | None
    """By name of PARTS."""
    end_to_end: dict[str, Any]
    """`Timing.to_dict()` from picture files to JSON."""
    stages_ms: dict[str, float]
    device_images_per_s: float
    end_to_end_images_per_s: float
    peak_gflops: float | None
    """Matmul limit of the machine, measured just before and after this row."""
    matmul_gflop: float | None
    """Arithmetic of the batch's matrix products and convolutions."""
    share_of_limit: float | None
    """Time that the arithmetic would take at the limit, over the time it took: 1 is perfect, in float32 on a CPU."""


@dataclass
class Result:
    """What one job gave."""

    runtime: str
    precision: str
    cold_start_s: float
    """From opening the session in a new process to its first answer."""
    warm_start_s: float
    """The same again in the same process: library loaded, file in the page cache."""
    memory_mib: int
    """Largest resident memory of the process up to a run of the largest batch."""
    gpu_memory_mib: int | None
    rows: list[Row]
    notes: list[str]
    """Sentences on what to bear in mind."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """From `to_dict` or its JSON."""
        return cls(**{**values, "rows": [Row(**row) for row in values["rows"]]})
