"""Peak memory and answers of the service under many large pictures at once. Prints a table in Markdown.

Pictures of 12, 48 and 50 megapixels, made of one demo ear with a camera's grain, as JPEG, PNG, WebP and TIFF; so many
clients at once send one each, again as soon as they are answered, and what is answered 429 is sent again when
Retry-After says. One service for each row, with EAR_TEACHER_MEMORY_MB as in a container with that limit.

    python -m bench.serve_memory --bundle demo/bundle --clients 24 --memory-mb 1024 --path /v1/embed
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from bench.running import Running, demo_pictures, running
from measure.latency import Latency

SIZES = {12: (4032, 3024), 48: (8064, 6048), 50: (8160, 6144)}
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 85},
    "PNG": {"compress_level": 6},
    "WEBP": {"quality": 80, "method": 0},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
READY = "/health/ready"


def picture(megapixels: int, kind: str) -> bytes:
    """A file. Of PNG and TIFF the levels are coarse, so that 50 megapixels stay under the limit on files."""
    ear = Image.open(io.BytesIO(demo_pictures(1)[0])).convert("RGB")
    large = ear.resize(SIZES[megapixels], Image.Resampling.BICUBIC)
    if kind in ("PNG", "TIFF"):
        large = large.point(lambda level: level & 0xE0)
    else:
        grain = np.random.default_rng(0).integers(0, 9, (512, 512), dtype=np.uint8)
        tiles = [-(-side // 512) for side in large.size[::-1]]
        noise = Image.fromarray(np.tile(grain, tiles)[: large.height, : large.width])
        large = Image.blend(large, Image.merge("RGB", [noise] * 3), 0.1)
    buffer = io.BytesIO()
    large.save(buffer, kind, **OPTIONS[kind])
    return buffer.getvalue()


@contextmanager
def watched(service: Running) -> Iterator[list[float]]:
    """Resident memory, MiB, looked at every 20 ms."""
    seen, stop = [service.memory_mb], threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            seen.append(service.memory_mb)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


async def load(port: int, path: str, data: bytes, clients: int, each: int) -> tuple[Counter[int], list[float]]:
    """Statuses, and seconds of those that were answered 200, from the first try on."""
    statuses: Counter[int] = Counter()
    seconds: list[float] = []

    async def client(session: httpx.AsyncClient) -> None:
        for _ in range(each):
            started, status = time.perf_counter(), 429
            while status == 429:
                answer = await session.post(path, content=data)
                status = answer.status_code
                statuses[status] += 1
                if status == 429:
                    await asyncio.sleep(int(answer.headers["Retry-After"]))
            seconds.append(time.perf_counter() - started)

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=300, limits=limits) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return statuses, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--each", type=int, default=1, help="answered pictures of each client")
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--path", default="/v1/embed", help="such as /v1/embed?detect=true or /v1/landmarks")
    parser.add_argument("--megapixels", type=int, nargs="+", default=sorted(SIZES), choices=sorted(SIZES))
    parser.add_argument("--kinds", nargs="+", default=list(OPTIONS), choices=list(OPTIONS))
    asked = parser.parse_args()
    os.environ["EAR_TEACHER_MEMORY_MB"] = str(asked.memory_mb)
    print(f"{asked.clients} clients, POST {asked.path}, EAR_TEACHER_MEMORY_MB={asked.memory_mb}\n")
    print("| picture | file, MB | rest, MiB | peak, MiB | answers | median, s | slowest, s |")
    print("|---|---|---|---|---|---|---|")
    for megapixels in asked.megapixels:
        for kind in asked.kinds:
            data = picture(megapixels, kind)
            with running(asked.bundle, None) as service:
                service.wait(READY)
                time.sleep(1)
                with watched(service) as memory:
                    statuses, seconds = asyncio.run(load(service.port, asked.path, data, asked.clients, asked.each))
            shown = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
            spread = Latency.of(seconds)
            print(
                f"| {megapixels} MP {kind} | {len(data) / 1e6:.1f} | {memory[0]:.0f} | {max(memory):.0f} | {shown} "
                f"| {spread.p50_ms / 1e3:.2f} | {max(seconds):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
