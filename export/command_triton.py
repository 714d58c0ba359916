"""`ear-teacher triton BUNDLE --out REPOSITORY`: the same bundle for NVIDIA's Triton Inference Server."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.config import batches


def main(argv: list[str]) -> int:
    """Write or extend a model repository."""
    options = _parser().parse_args(argv)
    from export.triton import TritonOptions, write_repository

    chosen = TritonOptions(
        options.device,
        options.precision,
        options.tensorrt,
        options.batches,
        options.max_delay_us,
        options.instances,
    )
    for name, version in write_repository(options.bundle, options.out, chosen).items():
        print(f"{options.out / name}: version {version}")
    print(f"tritonserver --model-repository={options.out.resolve()}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ear-teacher triton", description="A bundle as a Triton model repository.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder with manifest.json")
    parser.add_argument("--out", type=Path, required=True, help="the model repository; a new version is added to it")
    run = parser.add_argument_group("how Triton runs it")
    run.add_argument("--device", default="auto", choices=("auto", "gpu", "cpu"), help="default %(default)s")
    run.add_argument("--precision", default="auto", help="variant of the bundle (default: the best for the device)")
    run.add_argument("--tensorrt", action="store_true", help="build a TensorRT engine when Triton loads the model")
    run.add_argument(
        "--batches", type=batches, default=(1, 8, 32), help="batch sizes to warm up and to prefer (default 1,8,32)"
    )
    run.add_argument(
        "--max-delay-us", type=int, default=2000, help="longest wait for a batch, us (default %(default)s)"
    )
    run.add_argument("--instances", type=int, default=1, help="copies of each model (default %(default)s)")
    return parser
