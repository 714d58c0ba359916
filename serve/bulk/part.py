"""Embeds one part of a bulk job: reads, decodes and frames in a pool of threads while the model runs.

The same in this process and on a worker of a cluster.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow

from bundle.errors import ImageError
from bundle.image import Picture, frame, part_for
from bundle.model import EarModel, load
from bundle.photo import PictureFile
from common.machine import usable_cpus
from serve.bulk.job import Job
from serve.bulk.source import Row, read_bytes
from serve.inference.decode_pool import oriented
from serve.inference.encoded import embedded

DECODE_THREADS = 2


@dataclass(frozen=True)
class Engine:
    """Which bundle embeds, and how: `runtime`, `precision`, `threads` as in `bundle.model.load`."""

    bundle: str
    runtime: str = "auto"
    precision: str = "auto"
    threads: int = 0
    batch: int = 16
    decode_threads: int = 0
    """0: `DECODE_THREADS` beside a model on the CPU; beside one on a GPU, which leaves the cores free, one a core."""


@dataclass(frozen=True)
class Read:
    """A picture as the model takes it, or why there is none."""

    row: Row
    sha256: str | None = None
    crop: Picture | None = None
    error: str | None = None


def decode_threads(runtime: str) -> int:
    """Threads that feed a model on `runtime`."""
    return DECODE_THREADS if runtime == "onnxruntime-cpu" else max(DECODE_THREADS, usable_cpus())


class PartEmbedder:
    """A loaded model with its pool of decoding threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.model: EarModel = load(engine.bundle, engine.runtime, engine.precision, engine.threads)
        threads = engine.decode_threads or decode_threads(self.model.runtime)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def embed(self, job: Job, part: int) -> None:
        """Write a part, unless it is there already."""
        if job.has(part):
            return
        rows = job.rows(part)
        read = self._pool.map(self._read, rows, read_bytes(rows))
        done = [row for some in _chunks(read, self._engine.batch) for row in self._embedded(some, job)]
        job.write(part, pyarrow.Table.from_pylist(done, schema(self.model.latent_dim, job.terms.with_mu)))

    def close(self) -> None:
        """Free the model."""
        self._pool.shutdown(cancel_futures=True)
        self.model.close()

    def _read(self, row: Row, read: Callable[[], bytes]) -> Read:
        try:
            data = read()
        except (OSError, ValueError, KeyError) as error:
            return Read(row, error=str(error))
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            box = None if row["box"] is None else tuple(row["box"])
            framing = self.model.manifest.framing
            crop = frame(part_for(PictureFile(data, alpha_grey=framing.alpha_grey), box, framing), box, framing)
            return Read(row, sha256, oriented(crop, row["side"]))
        except ImageError as error:
            return Read(row, sha256, error=str(error))

    def _embedded(self, some: list[Read], job: Job) -> list[dict[str, Any]]:
        kept = [(one.crop, one.row["side"] == "unknown") for one in some if one.crop is not None]
        vectors_of_each = iter(embedded(self.model, [crop for crop, _ in kept], [is_unknown for _, is_unknown in kept]))
        names = ("embedding", "mu") if job.terms.with_mu else ("embedding",)
        rows = []
        for one in some:
            vectors = None if one.crop is None else next(vectors_of_each)
            rows.append(_told(one) | {name: None if vectors is None else getattr(vectors, name) for name in names})
        return rows


def schema(dim: int, with_mu: bool) -> pyarrow.Schema:
    """One row per input; `error` is null where there are vectors, which are null where there is an error."""
    vector = pyarrow.list_(pyarrow.float32(), dim)
    text = [pyarrow.field(name, pyarrow.string()) for name in ("name", "side", "sha256")]
    vectors = [pyarrow.field("embedding", vector), *([pyarrow.field("mu", vector)] if with_mu else [])]
    return pyarrow.schema(
        [pyarrow.field("row", pyarrow.int64()), *text, *vectors, pyarrow.field("error", pyarrow.string())]
    )


def _told(one: Read) -> dict[str, Any]:
    row = one.row
    return {"row": row["row"], "name": row["name"], "side": row["side"], "sha256": one.sha256, "error": one.error}


def _chunks(rows: Iterator[Read], size: int) -> Iterator[list[Read]]:
    while some := list(itertools.islice(rows, size)):
        yield some
