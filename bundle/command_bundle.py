"""`ear-teacher bundle verify FOLDER`: check every checksum, contract and golden output of a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(argv: list[str]) -> int:
    arguments = parser().parse_args(argv)

    from bundle.verify import verify_bundle

    well = verify_bundle(arguments.folder, _report, arguments.runtime, not arguments.no_golden, arguments.threads)
    print("the bundle is whole" if well else "the bundle must not be served")
    return 0 if well else 2


def parser() -> argparse.ArgumentParser:
    """The flags of the verb."""
    result = argparse.ArgumentParser(
        prog="ear-teacher bundle", description="Check every checksum, contract and golden output of a bundle."
    )
    actions = result.add_subparsers(required=True, metavar="ACTION")
    verify = actions.add_parser("verify", help="check every checksum, contract and golden output")
    verify.add_argument("folder", type=Path, metavar="FOLDER", help="folder with manifest.json")
    verify.add_argument("--no-golden", action="store_true", help="run no graph (a teacher takes minutes on a CPU)")
    verify.add_argument("--runtime", default="onnxruntime-cpu", help="what runs the graphs (default: onnxruntime-cpu)")
    verify.add_argument("--threads", type=int, default=0, help="CPU threads; 0: one a physical core (default: 0)")
    return result


def _report(passed: bool, line: str) -> None:
    print(f"{'ok  ' if passed else 'FAIL'}  {line}", flush=True)
