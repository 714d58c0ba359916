"""The service as a process of its own, and connections to it that cost little: for benches that load and torment it.

Only loopback. Requests are prepared bytes; answers are read as far as their status and length, or whole.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
EARS = ROOT / "demo" / "ears" / "crops"
PATIENCE_S = 120.0
POLL_S = 0.02


@dataclass(frozen=True)
class Running:
    """A service process that has been started, not necessarily ready."""

    port: int
    started: float
    process: psutil.Process

    def wait(self, path: str) -> float:
        """Seconds from the service's start until a GET of `path` answers 200; waits `PATIENCE_S` from now."""
        patient = time.perf_counter() + PATIENCE_S
        while time.perf_counter() < patient and self.process.is_running():
            if status(self.port, path) == 200:
                return time.perf_counter() - self.started
            time.sleep(POLL_S)
        raise SystemExit(f"{path} did not answer 200 within {PATIENCE_S:.0f} s")

    @property
    def memory_mb(self) -> float:
        """Resident memory, MiB."""
        return float(self.process.memory_info().rss / 2**20)


@contextmanager
def running(bundle: Path, gallery: Path | None, *flags: str) -> Iterator[Running]:
    """`ear-teacher serve` on a free port, its log thrown away; stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ear_teacher", "serve", "--bundle", str(bundle), "--port", str(port), *flags]
    command += [] if gallery is None else ["--gallery", str(gallery)]
    started = time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(command, cwd=ROOT, stdout=nowhere, stderr=nowhere)
    try:
        yield Running(port, started, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(30)


def status(port: int, path: str) -> int:
    """Status of a GET; 0 while nobody listens. An HTTP client would take more of the machine than it asks."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
            wire.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return int(wire.recv(65536)[9:12])
    except OSError:
        return 0


def demo_pictures(count: int = 64) -> list[bytes]:
    """The first demo ears, as JPEG files."""
    return [path.read_bytes() for path in sorted(EARS.glob("*.jpg"))[:count]]


class Wire:
    """One connection that is opened anew whenever the service has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. Sends again once where an idle connection had been closed."""
        for fresh in (self._streams is None, True):
            try:
                return await self._exchange(request)
            except (OSError, asyncio.IncompleteReadError):
                self.close()
                if fresh:
                    raise
        raise AssertionError("unreachable")

    async def vanish(self, request: bytes) -> None:
        """Send and go away before the answer."""
        reader, writer = await self._open()
        writer.write(request)
        with suppress(OSError):
            await writer.drain()
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = await self._open()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        length = lower.partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await reader.readexactly(int(length)) if length else b""
        if b"connection: close" in lower:
            self.close()
        return int(head[9:12]), body
