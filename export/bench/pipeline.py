"""End to end without HTTP: picture files in, JSON out, with the stages that a service has between them.

Decoding runs in a pool, computing on a thread of its own behind a queue, as in the service; so what is added to the
device's time is decoding, waiting and serialising, and no network.
"""

from __future__ import annotations

import base64
import io
import json
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle.framing import Framing
from bundle.image import Picture, decode, frame
from bundle.session import Session
from export.bench.jobs import STAGES

UPLOAD_SIZE_PX = (640, 480)
"""Pictures made from crops, where none are given, are as large as a webcam's."""


@dataclass
class StageTimes:
    """Seconds spent in each stage, summed over requests."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    requests: int = 0

    def means_ms(self) -> dict[str, float]:
        """Mean of each stage for one request."""
        return {name: round(1000 * value / max(self.requests, 1), 4) for name, value in self.seconds.items()}


class Pipeline:
    """Decode -> queue -> compute -> serialise around one encoder session. Close it when done."""

    def __init__(self, session: Session, framing: Framing, threads: int) -> None:
        self.times = StageTimes()
        self._session, self._framing = session, framing
        self._pool = ThreadPoolExecutor(max(threads, 1))
        self._queue: queue.SimpleQueue[tuple[Picture, float, Future[Any]] | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._compute, daemon=True)
        self._worker.start()

    def request(self, files: Sequence[bytes]) -> bytes:
        """One request of several pictures: the answer as JSON, embeddings in base64 as OpenAI's API has them."""
        start = time.perf_counter()
        crops = np.stack(list(self._pool.map(self._frame, files)))
        decoded = time.perf_counter()
        answer: Future[tuple[NDArray[np.float32], float]] = Future()
        self._queue.put((crops, decoded, answer))
        embeddings, computing_s = answer.result()
        computed = time.perf_counter()
        rows = [{"index": n, "embedding": base64.b64encode(row).decode()} for n, row in enumerate(embeddings)]
        body = json.dumps({"data": rows}).encode()
        self._note(decoded - start, computed - decoded - computing_s, computing_s, time.perf_counter() - computed)
        return body

    def close(self) -> None:
        """End the threads."""
        self._queue.put(None)
        self._worker.join()
        self._pool.shutdown()

    def _frame(self, data: bytes) -> Picture:
        return frame(decode(data), None, self._framing)

    def _compute(self) -> None:
        while (item := self._queue.get()) is not None:
            crops, _, answer = item
            start = time.perf_counter()
            try:
                embeddings = self._session.run({"image": crops})["embedding"]
            except Exception as error:  # handed to the caller, whatever it is
                answer.set_exception(error)
                continue
            answer.set_result((embeddings, time.perf_counter() - start))

    def _note(self, *seconds: float) -> None:
        for name, value in zip(STAGES, seconds, strict=True):
            self.times.seconds[name] += value
        self.times.requests += 1


def picture_files(crops: Picture) -> list[bytes]:
    """Crops (N, S, S, 3) uint8 as JPEG files of `UPLOAD_SIZE_PX`."""
    files = []
    for crop in crops:
        buffer = io.BytesIO()
        Image.fromarray(crop).resize(UPLOAD_SIZE_PX, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files
