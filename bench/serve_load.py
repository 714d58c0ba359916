"""How near the service comes to the machine's limit, and how far it is from LitServe. Prints a table, writes JSON.

The limit is a loop in one process that decodes the same files and runs the same session with the threads and the batch
that were best on this machine. Windows of limit, service and LitServe alternate, so that ratios hold on a busy machine;
who is not measured is stopped meanwhile, since an idle server's polling takes from the others.

    python -m bench.serve_load --bundle runs/demo/bundle --litserve-python /path/to/venv/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bundle.image import decode, frame
from bundle.model import EarModel, load
from measure.latency import Latency

ROOT = Path(__file__).parents[1]
EARS = ROOT / "demo" / "ears" / "crops"
BATCHES = (1, 2, 4, 8, 16, 32)
READY = "/health/ready"


class Limit:
    """The loop that nothing in front of the model can beat."""

    def __init__(self, bundle: Path, files: list[bytes]) -> None:
        self._files = files
        models = {threads: load(bundle, threads=threads) for threads in cores()}
        tried = {(threads, n): self._rate(models[threads], n, 0.7) for threads in models for n in BATCHES}
        self.threads, self.batch = max(tried, key=lambda one: tried[one])
        self._model = models[self.threads]

    def rate(self, seconds: float) -> float:
        """Pictures per second, decoding included."""
        return self._rate(self._model, self.batch, seconds)

    def single_ms(self, seconds: float) -> float:
        """Median of decoding and encoding one picture, in ms."""
        samples, end, number = [], time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            started = time.perf_counter()
            self._run(self._model, [self._files[number % len(self._files)]])
            samples.append(time.perf_counter() - started)
            number += 1
        return Latency.of(samples).p50_ms

    def _rate(self, model: EarModel, batch: int, seconds: float) -> float:
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            self._run(model, [self._files[(done + n) % len(self._files)] for n in range(batch)])
            done += batch
        return done / (time.perf_counter() - started)

    def _run(self, model: EarModel, files: list[bytes]) -> None:
        model.encode(np.stack([frame(decode(data), None) for data in files]))


def cores() -> range:
    """Numbers of threads worth trying."""
    return range(1, len(os.sched_getaffinity(0)) + 1)


@dataclass(frozen=True)
class Server:
    """A server process and those that it started: runs only while it is measured."""

    port: int
    group: int

    @contextmanager
    def measured(self) -> Iterator[int]:
        """Its port, while it runs."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            yield self.port
        finally:
            os.killpg(self.group, signal.SIGSTOP)


@contextmanager
def server(command: list[str], ready: str) -> Iterator[Server]:
    """A server that was ready (`ready` answered 200) and is stopped until it is measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [part.replace("PORT", str(port)) for part in command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        process_group=0,
    )
    try:
        _wait(f"http://127.0.0.1:{port}{ready}", process)
        os.killpg(process.pid, signal.SIGSTOP)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        os.killpg(process.pid, signal.SIGCONT)
        try:
            process.wait(20)
        finally:
            with suppress(ProcessLookupError):  # LitServe's workers outlive their parent
                os.killpg(process.pid, signal.SIGKILL)


def _wait(url: str, process: subprocess.Popen[bytes], patience_s: float = 120.0) -> None:
    end = time.monotonic() + patience_s
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"{url} did not come up")


def drive(port: int, connections: int, seconds: float, *flags: str) -> dict[str, float]:
    """One window of load on a port."""
    command = [sys.executable, "-m", "bench.load_generator", "--port", str(port), "--files", str(EARS), *flags]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    result: dict[str, float] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return result


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All windows of all rounds; medians by number of connections."""
    files = [path.read_bytes() for path in sorted(EARS.glob("*.jpg"))[:64]]
    limit = Limit(options.bundle, files)
    print(
        f"limit: {limit.threads} threads, batch {limit.batch}, {limit.rate(options.seconds):.0f} pictures/s", flush=True
    )
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(server([*command, "--threads", str(limit.threads)], ready))
            for name, (command, ready) in commands(options).items()
        }
        rows = [_row(limit, servers, connections, options) for connections in options.connections]
    machine = {"cores": len(cores()), "load_average": os.getloadavg()[0]}
    return {"limit": {"threads": limit.threads, "batch": limit.batch}, "machine": machine, "rows": rows}


def commands(options: argparse.Namespace) -> dict[str, tuple[list[str], str]]:
    """Command and readiness path of each server; both are given the threads that were best for the limit."""
    shared = ["--bundle", str(options.bundle), "--port", "PORT"]
    servers = {"service": ([sys.executable, "-m", "ear_teacher", "serve", *shared, "--log-format", "json"], READY)}
    if options.litserve_python:
        servers["litserve"] = ([options.litserve_python, "-m", "bench.litserve_app", *shared], "/health")
    return servers


def _row(limit: Limit, servers: dict[str, Server], connections: int, options: argparse.Namespace) -> dict[str, Any]:
    windows: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    limits, singles = [], []
    for _ in range(options.rounds):
        limits.append(limit.rate(options.seconds))
        singles.append(limit.single_ms(options.seconds))
        for name, one in servers.items():
            flags = ("--path", "/predict", "--form") if name == "litserve" else ()
            with one.measured() as port:
                drive(port, connections, 0.5, *flags)  # warm again
                windows[name].append(drive(port, connections, options.seconds, *flags))
    row: dict[str, Any] = {"connections": connections, "limit_per_s": statistics.median(limits)}
    for name, taken in windows.items():
        row[name] = {key: statistics.median(window[key] for window in taken) for key in taken[0]}
    ours = windows["service"]
    row["of_limit"] = _paired([window["per_s"] for window in ours], limits)
    row["added_ms"] = statistics.median(window["p50_ms"] - single for window, single in zip(ours, singles, strict=True))
    for key in ("per_s", "p99_ms") if "litserve" in windows else ():
        row[f"{key}_of_litserve"] = _paired(*([window[key] for window in windows[name]] for name in windows))
    print(told(row), flush=True)
    return row


def _paired(ours: list[float], theirs: list[float]) -> float:
    """Median of the ratios of windows that followed each other."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def told(row: dict[str, Any]) -> str:
    """A row of the table."""
    ours = row["service"]
    text = (
        f"{row['connections']:3d} connections: {ours['per_s']:6.0f}/s ({row['of_limit']:.2f} of the limit), p50 "
        f"{ours['p50_ms']:.1f} p99 {ours['p99_ms']:.1f} ms, generator {ours['generator_cores']:.2f} cores"
    )
    if row["connections"] == 1:
        text += f", {row['added_ms']:.1f} ms over one picture decoded and encoded in a loop"
    if "litserve" in row:
        theirs = row["litserve"]
        text += (
            f"; LitServe {theirs['per_s']:.0f}/s, p50 {theirs['p50_ms']:.1f} p99 {theirs['p99_ms']:.1f} ms: "
            f"{row['per_s_of_litserve']:.2f}x throughput, {row['p99_ms_of_litserve']:.2f}x p99"
        )
    return text


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument(
        "--connections", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2, 4, 8, 16, 32, 64]
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litserve-python", help="a Python that has litserve; none: no comparison")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    figures = measure(options)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
