"""Everything that only a GPU can tell, as a Markdown table for docs/benchmarks.md.

    make gpu-check
    python -m bench.gpu_check latency "engine build" --markdown table.md      # parts by name, from a bare tree

Each part runs in a process of its own with its own time limit and prints its figures as it measures them, so that a
part that crashes, hangs or fails keeps what it measured and costs no other part anything. Exit status 1: something
failed. 0: what could run here did well, also where that is nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.gpu_parts import PARTS, Part, Rows
from bundle.errors import RuntimeUnavailable
from common.provenance import commit
from export.bench.hardware import this_machine, versions

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Outcome:
    """What a part gave."""

    name: str
    verdict: str
    """`passed`, `FAILED: why` or `skipped: why`."""
    rows: Rows
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether it ran and went wrong."""
        return self.verdict.startswith("FAILED")


def run_part(name: str, part: Part, command: list[str]) -> Outcome:
    """Run a part as a process of its own. `command` writes JSON lines: a figure each, at last the verdict."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out, tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=log)
        try:
            status = process.wait(part.limit_s)
            ending = f"ended with status {status} and no verdict: {_last_line(log)}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ending = f"not done after its limit of {part.limit_s:.0f} s"
        out.seek(0)
        lines = [json.loads(line) for line in out if line.startswith("{")]
    rows = [(line["what"], line["figure"]) for line in lines if "what" in line]
    verdicts = [line["verdict"] for line in lines if "verdict" in line]
    return Outcome(name, verdicts[-1] if verdicts else f"FAILED: {ending}", rows, time.perf_counter() - start)


def _last_line(log: object) -> str:
    log.seek(0)  # type: ignore[attr-defined]
    lines = log.read().strip().splitlines()  # type: ignore[attr-defined]
    return lines[-1][:300] if lines else "nothing was printed"


def measure(part: Part) -> None:
    """Run a part in this process and write its figures and its verdict to standard output, a JSON line each."""

    def write(**line: str) -> None:
        print(json.dumps(line), flush=True)

    try:
        for what, figure in part.run():
            write(what=what, figure=figure)
        write(verdict="passed")
    except RuntimeUnavailable as error:
        write(verdict=f"skipped: {error}")
    except Exception as error:  # reported as this part's failure; the other parts still run
        write(verdict=f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:400]}")


def markdown(outcomes: Iterable[Outcome]) -> str:
    """What was measured on, and a line for each part and each figure."""
    machine, software = this_machine(), ", ".join(f"{name} {version}" for name, version in versions().items())
    lines = [
        f"{machine.gpu or 'no GPU'}; {machine.cpu}, {machine.cores} cores; {software}; commit {commit()}",
        "",
        "| part | what | figure |",
        "|---|---|---|",
    ]
    for outcome in outcomes:
        lines.append(f"| **{outcome.name}** | {outcome.verdict.replace('|', '/')} | {outcome.seconds:.0f} s |")
        lines += [f"| | {what} | {figure} |" for what, figure in outcome.rows]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Run the named parts, or all, print the table, and write it where asked after every part."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_check", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"parts to run (default all): {', '.join(PARTS)}")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    parser.add_argument("--measure", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
    if options.measure:
        measure(PARTS[options.measure])
        return 0
    outcomes = []
    for name in options.parts or PARTS:
        print(f"{name} (at most {PARTS[name].limit_s:.0f} s) ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "bench.gpu_check", "--measure", name]
        outcomes.append(run_part(name, PARTS[name], command))
        print(f"{name}: {outcomes[-1].verdict}", file=sys.stderr, flush=True)
        if options.markdown:
            options.markdown.write_text(markdown(outcomes), encoding="utf-8")
    print(markdown(outcomes))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
