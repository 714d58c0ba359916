"""How long the service takes to start, and the memory it begins with: medians of several runs, printed and as JSON.

`ear-teacher --help`, then `serve` until /health/live answers and until /health/ready answers 200 (the bundle's files
verified, the golden crops reproduced, the batch sizes warmed up), and the resident memory after `--requests` pictures.

    python -m bench.serve_start --bundle demo/bundle
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.load_generator import post

ROOT = Path(__file__).parents[1]
EARS = ROOT / "demo" / "ears" / "crops"
POLL_S = 0.02
PATIENCE_S = 120.0


def help_s() -> float:
    """Seconds that `ear-teacher --help` takes, the interpreter's own start included."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ear_teacher", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def start(bundle: Path, gallery: Path | None, requests: int) -> dict[str, float]:
    """Start the service once, send it pictures, stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ear_teacher", "serve", "--bundle", str(bundle), "--port", str(port)]
    command += [] if gallery is None else ["--gallery", str(gallery)]
    started = time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(command, cwd=ROOT, stdout=nowhere, stderr=nowhere)
    try:
        live_s = _until(lambda: status(port, "/health/live") == 200, process) - started
        ready_s = _until(lambda: status(port, "/health/ready") == 200, process) - started
        memory = psutil.Process(process.pid).memory_info
        ready_mb = memory().rss / 2**20
        files = [path.read_bytes() for path in sorted(EARS.glob("*.jpg"))[:64]]
        for number in range(requests):
            answered = ask(port, post("/v1/embed?side=left", files[number % len(files)], "image/jpeg"))
            assert answered == 200, f"a picture was answered {answered}"
        return {"live_s": live_s, "ready_s": ready_s, "ready_mb": ready_mb, "used_mb": memory().rss / 2**20}
    finally:
        process.terminate()
        process.wait(30)


def status(port: int, path: str) -> int:
    """Status of a GET; 0 while nobody listens."""
    return ask(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())


def ask(port: int, request: bytes) -> int:
    """Send prepared bytes on a connection of their own; an HTTP client would take more of the machine than it asks."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
            wire.sendall(request)
            return int(wire.recv(65536)[9:12])
    except OSError:
        return 0


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> float:
    end = time.perf_counter() + PATIENCE_S
    while not condition():
        if process.poll() is not None or time.perf_counter() > end:
            raise SystemExit("the service did not start")
        time.sleep(POLL_S)
    return time.perf_counter()


def told(name: str, values: list[float], unit: str) -> str:
    """Median and range of several runs."""
    return f"{name:<40} {statistics.median(values):7.2f} {unit} (from {min(values):.2f} to {max(values):.2f})"


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "demo" / "bundle")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200, help="pictures before memory is read")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    given = parser.parse_args()
    start(given.bundle, None, 1)  # the files are in the page cache from here on
    helps = [help_s() for _ in range(given.runs)]
    print(told("ear-teacher --help", helps, "s"), flush=True)
    figures: dict[str, object] = {"help_s": helps}
    with tempfile.TemporaryDirectory() as folder:
        for name, gallery in (("without a gallery", None), ("with an empty gallery", Path(folder) / "gallery")):
            runs = [start(given.bundle, gallery, given.requests) for _ in range(given.runs)]
            columns = {key: [run[key] for run in runs] for key in runs[0]}
            for key, values in columns.items():
                measure, unit = key.rsplit("_", 1)
                print(told(f"{measure}, {name}", values, unit.replace("mb", "MiB")), flush=True)
            figures[name] = columns
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
