"""A closed-loop HTTP load: N connections, each sends its next request when its last was answered. For the benchmarks.

Plain asyncio protocols over prepared bytes, so that it takes little of the machine that it measures; it says how much.
Sends only to loopback addresses. Run as a process of its own; prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import cast

from measure.latency import Latency


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(
        self, requests: list[bytes], first: int, until: float, samples: list[float], failed: list[int]
    ) -> None:
        self._requests, self._next, self._until = requests, first, until
        self._samples, self._failed = samples, failed
        self._received = bytearray()
        self._expected = -1
        self._started = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._send()

    def _send(self) -> None:
        self._started = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._expected < 0:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._expected = end + 4 + int(length)
        if len(self._received) >= self._expected:
            self._answered()

    def _answered(self) -> None:
        status = int(self._received[9:12])
        if status == 200:
            self._samples.append(time.perf_counter() - self._started)
        else:
            self._failed.append(status)
        self._received.clear()
        self._expected = -1
        if time.perf_counter() < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(host: str, port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, float]:
    """Drive the load; requests per second, latency in ms, failures, and the cores that the generator itself took."""
    loop = asyncio.get_running_loop()
    samples: list[float] = []
    failed: list[int] = []
    started, cpu = time.perf_counter(), time.process_time()
    callers = []
    for number in range(connections):
        first = number * len(requests) // connections
        _, caller = await loop.create_connection(
            partial(Caller, requests, first, started + seconds, samples, failed), host, port
        )
        callers.append(caller)
    await asyncio.gather(*(caller.done for caller in callers))
    elapsed = time.perf_counter() - started
    latency = Latency.of(samples) if samples else None
    return {
        "per_s": len(samples) / elapsed,
        "p50_ms": latency.p50_ms if latency else float("nan"),
        "p99_ms": latency.p99_ms if latency else float("nan"),
        "failed": len(failed),
        "generator_cores": (time.process_time() - cpu) / elapsed,
    }


def post(path: str, body: bytes, kind: str) -> bytes:
    """A prepared request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def form(path: str, body: bytes) -> bytes:
    """A prepared multipart upload in the field `request`, as LitServe takes files."""
    head = b'--x\r\nContent-Disposition: form-data; name="request"; filename="ear.jpg"\r\n\r\n'
    return post(path, head + body + b"\r\n--x--\r\n", "multipart/form-data; boundary=x")


def main() -> int:
    """Load HOST:PORT with the files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--path", default="/v1/embed?side=left")
    parser.add_argument("--form", action="store_true", help="send multipart forms instead of raw bytes")
    parser.add_argument("--files", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    if not ipaddress.ip_address(options.host).is_loopback:
        sys.exit("only loopback addresses are loaded")
    files = [path.read_bytes() for path in sorted(options.files.glob("*.jpg"))[:64]]
    requests = [form(options.path, data) if options.form else post(options.path, data, "image/jpeg") for data in files]
    import uvloop

    result = uvloop.run(load(options.host, options.port, requests, options.connections, options.seconds))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
