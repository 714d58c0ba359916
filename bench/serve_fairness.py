"""A caller of small pictures beside one with many large ones: how long the small one waits. Prints two lines.

One request of /v1/embeddings with 64 pictures of 12 megapixels from one address; another address sends a demo ear to
/v1/embed again and again, first alone, then until the large request is answered.

    python -m bench.serve_fairness --bundle demo/bundle
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import time
from pathlib import Path

import httpx

from bench.running import demo_pictures, running
from bench.serve_memory import READY, picture
from measure.latency import Latency

LARGE, SMALL = "127.0.0.1", "127.0.0.2"
"""Two addresses of this machine: without API keys a caller is its address."""
ALONE = 20


def session(port: int, address: str) -> httpx.AsyncClient:
    """Connections from an address."""
    transport = httpx.AsyncHTTPTransport(local_address=address)
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600, transport=transport)


async def measured(port: int, pictures: list[str], ear: bytes) -> None:
    """Print both lines."""
    async with session(port, LARGE) as large, session(port, SMALL) as small:

        async def ask() -> float:
            started = time.perf_counter()
            answer = await small.post("/v1/embed", content=ear)
            assert answer.status_code == 200, answer.text
            return time.perf_counter() - started

        await ask()
        print(f"alone: {_told([await ask() for _ in range(ALONE)])}")
        started = time.perf_counter()
        many = asyncio.ensure_future(large.post("/v1/embeddings", json={"input": pictures}))
        beside = [await ask()]
        while not many.done():
            beside.append(await ask())
        took_s, status = time.perf_counter() - started, many.result().status_code
        print(f"beside {len(pictures)} large pictures ({status} after {took_s:.1f} s): {_told(beside)}")


def _told(seconds: list[float]) -> str:
    spread = Latency.of(seconds)
    return f"{len(seconds)} answers, median {spread.p50_ms:.0f} ms, slowest {max(seconds) * 1e3:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--megapixels", type=int, default=12, choices=(12, 48, 50))
    parser.add_argument("--kind", default="WEBP", choices=("JPEG", "PNG", "WEBP", "TIFF"))
    parser.add_argument("--count", type=int, default=64)
    asked = parser.parse_args()
    large = base64.b64encode(picture(asked.megapixels, asked.kind)).decode()
    with running(asked.bundle, None, "--request-timeout-s", "600") as service:
        service.wait(READY)
        asyncio.run(measured(service.port, [large] * asked.count, demo_pictures(1)[0]))


if __name__ == "__main__":
    main()
