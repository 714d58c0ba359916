"""Mutated pictures and JSON bodies by the thousand: no 5xx, no leak, no wedge, and other requests unharmed.

Beside the damaged requests one connection asks for whole pictures all the time; their vectors must not change. Exit
status 1 where anything was answered 5xx, a whole picture was harmed, memory grew past `--allowed-mb`, or the service is
not ready at the end. A seed names a run: it can be repeated.

    python -m bench.serve_mutations --bundle demo/bundle --requests 100000
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from bench.load_generator import post
from bench.mutation import JSON_BODIES, mutated
from bench.running import Wire, demo_pictures, running

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
PICTURE_ROUTES = ("/v1/embed", "/v1/reconstruct", "/v1/embed?include=quality", "/v1/search")
SETTLED = 0.2
"""Memory is compared with what it was after this share of the requests: allocators have filled by then."""


def pictures() -> list[bytes]:
    """One ear in each format, small, so that damage often meets what matters."""
    with Image.open(io.BytesIO(demo_pictures(1)[0])) as image:
        small = image.convert("RGB").resize((64, 64))
    return [_file(small, kind) for kind in FORMATS]


def _file(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@dataclass
class Torment:
    """What was sent and what came back."""

    requests: int
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    whole: int = 0
    harmed: int = 0

    async def damage(self, port: int, seed: int) -> None:
        """One connection's share of damaged requests."""
        rng, wire, files = random.Random(seed), Wire(port), pictures()
        while self.sent < self.requests:
            self.sent += 1
            path, body, kind = _damaged(rng, files)
            answered, text = await wire.ask(post(path, body, kind))
            self.statuses[answered] += 1
            if answered >= 500:
                self.faults.append(f"{path}: {answered} {text[:300]!r} for {body[:2000].hex()}")
        wire.close()

    async def accompany(self, port: int) -> None:
        """Ask for whole pictures until cancelled; their vectors stay what they were."""
        wire, files = Wire(port), demo_pictures(16)
        expected: dict[int, list[float]] = {}
        while True:
            number = self.whole % len(files)
            answered, text = await wire.ask(post("/v1/embed?side=left", files[number], "image/jpeg"))
            vector = json.loads(text)["embedding"] if answered == 200 else []
            first_vector = expected.setdefault(number, vector)
            cosine = sum(a * b for a, b in zip(vector, first_vector, strict=False))
            self.harmed += not cosine > 0.9999
            self.whole += 1


def _damaged(rng: random.Random, files: list[bytes]) -> tuple[str, bytes, str]:
    if rng.random() < 0.5:
        return rng.choice(PICTURE_ROUTES), mutated(rng.choice(files), rng), "application/octet-stream"
    path = rng.choice(list(JSON_BODIES))
    return path, mutated(JSON_BODIES[path], rng), "application/json"


async def torment(port: int, state: Torment, options: argparse.Namespace, until: int) -> None:
    """Send damaged requests over the connections until so many have been sent in all."""
    state.requests = until
    beside = asyncio.create_task(state.accompany(port))
    await asyncio.gather(*(state.damage(port, hash((options.seed, until, n))) for n in range(options.connections)))
    beside.cancel()
    await asyncio.gather(beside, return_exceptions=True)
    if beside.done() and not beside.cancelled():
        beside.result()


def main() -> int:
    """Run the torment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--allowed-mb", type=float, default=16.0, help="growth of resident memory, MiB")
    options = parser.parse_args()
    state = Torment(0)
    with running(options.bundle, None) as service:
        service.wait("/health/ready")
        asyncio.run(torment(service.port, state, options, round(options.requests * SETTLED)))
        settled_mb = service.memory_mb
        asyncio.run(torment(service.port, state, options, options.requests))
        growth_mb = service.memory_mb - settled_mb
        service.wait("/health/ready")
    figures: dict[str, Any] = {"sent": state.sent, "statuses": dict(sorted(state.statuses.items()))}
    figures |= {"whole": state.whole, "harmed": state.harmed, "growth_mb": round(growth_mb, 1), "faults": state.faults}
    print(json.dumps(figures, indent=1))
    return int(bool(state.faults) or state.harmed > 0 or not growth_mb <= options.allowed_mb)


if __name__ == "__main__":
    sys.exit(main())
