"""How long the service takes to start, and the memory it begins with: medians of several runs, printed and as JSON.

`ear-teacher --help`, then `serve` until /health/live answers and until /health/ready answers 200 (the bundle's files
verified, the golden crops reproduced, the batch sizes warmed up), and the resident memory after `--requests` pictures.

    python -m bench.serve_start --bundle demo/bundle
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.load_generator import post
from bench.running import ROOT, Wire, demo_pictures, running


def help_s() -> float:
    """Seconds that `ear-teacher --help` takes, the interpreter's own start included."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ear_teacher", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def start(bundle: Path, gallery: Path | None, requests: int) -> dict[str, float]:
    """Start the service once, send it pictures, stop it."""
    with running(bundle, gallery) as service:
        live_s, ready_s = service.wait("/health/live"), service.wait("/health/ready")
        ready_mb = service.memory_mb
        asyncio.run(send(service.port, requests))
        return {"live_s": live_s, "ready_s": ready_s, "ready_mb": ready_mb, "used_mb": service.memory_mb}


async def send(port: int, requests: int) -> None:
    """Embed so many pictures, one after the other."""
    wire, files = Wire(port), demo_pictures()
    for number in range(requests):
        answered, _ = await wire.ask(post("/v1/embed?side=left", files[number % len(files)], "image/jpeg"))
        assert answered == 200, f"a picture was answered {answered}"
    wire.close()


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
    options = parser.parse_args()
    start(options.bundle, None, 1)  # the files are in the page cache from here on
    helps = [help_s() for _ in range(options.runs)]
    print(told("ear-teacher --help", helps, "s"), flush=True)
    figures: dict[str, object] = {"help_s": helps}
    with tempfile.TemporaryDirectory() as folder:
        for name, gallery in (("without a gallery", None), ("with an empty gallery", Path(folder) / "gallery")):
            runs = [start(options.bundle, gallery, options.requests) for _ in range(options.runs)]
            columns = {key: [run[key] for run in runs] for key in runs[0]}
            for key, values in columns.items():
                measure, unit = key.rsplit("_", 1)
                print(told(f"{measure}, {name}", values, unit.replace("mb", "MiB")), flush=True)
            figures[name] = columns
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
