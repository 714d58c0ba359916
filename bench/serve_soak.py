"""Many requests, good and bad, mixed: does memory stay flat, is each answered as it should be, does nothing pile up?

Embedding, searching, verifying, reconstructing, enrolling and deleting; between them broken pictures, wrong JSON,
unknown paths and callers who leave. Prints resident memory, threads and descriptors as it goes; exit status 1 where an
answer was wrong, the service is not ready at the end, or memory grew by more than `--allowed-mb` after the first tenth.

    python -m bench.serve_soak --bundle demo/bundle --requests 100000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load_generator import post
from bench.running import Running, Wire, demo_pictures, running

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"
Case = tuple[str, Callable[[int], list[tuple[bytes, int]]]]
"""A name, and from the number of a turn the requests to send and the status that each must get; 0: leave unanswered."""


def form(path: str, files: dict[str, bytes], **fields: str) -> bytes:
    """A prepared multipart upload."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    for name, data in files.items():
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="ear.jpg"\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    return post(path, b"".join(parts) + b"--x--\r\n", FORM)


def cases(files: list[bytes]) -> list[Case]:
    """What is asked, each as often as it stands here."""

    def one(number: int) -> bytes:
        return files[number % len(files)]

    def enrolled(number: int) -> list[tuple[bytes, int]]:
        gone = f"DELETE /v1/gallery/subjects/s{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        return [(form("/v1/gallery/items", {"file": one(number)}, subject=f"s{number}", side="left"), 201), (gone, 200)]

    def raw(path: str, status: int) -> Callable[[int], list[tuple[bytes, int]]]:
        return lambda number: [(post(path, one(number), "image/jpeg"), status)]

    def fixed(path: str, body: bytes, kind: str, status: int) -> Callable[[int], list[tuple[bytes, int]]]:
        return lambda number: [(post(path, body, kind), status)]

    header = b"IHDR" + struct.pack(">IIBBBBB", 65536, 65536, 8, 2, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + header + struct.pack(">I", zlib.crc32(header))
    huge += b"\x00\x00\x00\x00IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))  # where its pixels would begin
    return [
        *[("embed", raw("/v1/embed?side=left", 200))] * 6,
        ("embed, all of it", raw("/v1/embed?include=mu,quality,eigenears", 200)),
        *[("search", raw("/v1/search?side=left", 200))] * 2,
        ("reconstruct", raw("/v1/reconstruct", 200)),
        ("verify", lambda n: [(form("/v1/verify", {"a": one(n), "b": one(n + 1)}), 200)]),
        ("enrol and delete", enrolled),
        ("a truncated picture", lambda n: [(post("/v1/embed", one(n)[: len(one(n)) // 2], "image/jpeg"), 400)]),
        ("no picture", fixed("/v1/embed", b"no picture", "image/jpeg", 400)),
        ("a huge picture", fixed("/v1/embed", huge, "image/png", 413)),
        ("wrong JSON", fixed("/v1/embeddings", b'{"input": [', JSON, 400)),
        ("a foreign vector", fixed("/v1/search", b'{"embedding": [1.0], "space_id": "sp_x"}', JSON, 409)),
        ("an unknown path", fixed("/v1/nothing", b"", JSON, 404)),
        ("a caller who leaves", raw("/v1/embed", 0)),
    ]


@dataclass
class Soak:
    """What has happened so far."""

    requests: int
    sent: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    memory: list[dict[str, float]] = field(default_factory=list)

    async def drive(self, port: int, mix: list[Case], seed: int) -> None:
        """One connection's share: cases in random order until all have been sent."""
        rng, wire = random.Random(seed), Wire(port)
        while self.sent < self.requests:
            name, made = rng.choice(mix)
            for request, status in made(self.sent):
                self.sent += 1
                if not status:
                    await wire.vanish(request)
                elif (answered := (await wire.ask(request))[0]) != status:
                    self.wrong[f"{name}: {answered} in place of {status}"] += 1
        wire.close()

    async def watch(self, service: Running, every_s: float) -> None:
        """Note memory, threads and descriptors until cancelled."""
        started = time.monotonic()
        while True:
            process = service.process
            seen = {"requests": self.sent, "seconds": round(time.monotonic() - started, 1)}
            seen |= {
                "memory_mb": round(service.memory_mb, 1),
                "threads": process.num_threads(),
                "fds": process.num_fds(),
            }
            self.memory.append(seen)
            print("  ".join(f"{key} {value}" for key, value in seen.items()), flush=True)
            await asyncio.sleep(every_s)

    def growth_mb(self) -> float:
        """Memory at the end over that after the first tenth (allocators and caches have filled by then)."""
        settled = [one["memory_mb"] for one in self.memory if one["requests"] >= self.requests / 10]
        return settled[-1] - settled[0] if settled else float("nan")


async def soak(service: Running, options: argparse.Namespace) -> Soak:
    """Send everything over the connections."""
    state, mix = Soak(options.requests), cases(demo_pictures())
    watching = asyncio.create_task(state.watch(service, options.every_s))
    await asyncio.gather(*(state.drive(service.port, mix, seed) for seed in range(options.connections)))
    watching.cancel()
    await asyncio.sleep(1.0)  # what callers left behind is dropped by now
    watching = asyncio.create_task(state.watch(service, options.every_s))
    await asyncio.sleep(0.1)
    watching.cancel()
    return state


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--every-s", type=float, default=10.0, help="seconds between two looks at memory")
    parser.add_argument("--allowed-mb", type=float, default=16.0, help="growth after the first tenth, MiB")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(options.bundle, Path(folder) / "gallery") as service:
        service.wait("/health/ready")
        state = asyncio.run(soak(service, options))
        service.wait("/health/ready")
    figures: dict[str, Any] = {"sent": state.sent, "wrong": dict(state.wrong), "growth_mb": state.growth_mb()}
    print(json.dumps(figures, indent=1))
    if options.out:
        options.out.write_text(json.dumps(figures | {"memory": state.memory}, indent=1) + "\n")
    return int(bool(state.wrong) or not state.growth_mb() <= options.allowed_mb)


if __name__ == "__main__":
    sys.exit(main())
