"""Everything that only a GPU can tell, in one command under 8 minutes, as a Markdown table for docs/benchmarks.md.

    make gpu-check

Each part runs where it can and else says in one sentence why not; a part that fails does not end the others. Exit
status 1: something failed. 0: what could run here did well, also where that is nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.gpu_parts import PARTS, Rows
from bundle.errors import RuntimeUnavailable
from common.provenance import commit
from export.bench.hardware import this_machine, versions

BUDGET_S = 480.0


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


def run(parts: Iterable[tuple[str, Callable[[], Rows]]], tell: Callable[[str], None]) -> list[Outcome]:
    """Run every part that begins within the budget."""
    start = time.perf_counter()
    outcomes = []
    for name, part in parts:
        began = time.perf_counter()
        if began - start > BUDGET_S:
            outcomes.append(Outcome(name, f"skipped: {BUDGET_S:.0f} s were spent before it", [], 0.0))
            continue
        tell(f"{name} ...")
        verdict, rows = _attempt(part)
        outcomes.append(Outcome(name, verdict, rows, time.perf_counter() - began))
        tell(f"{name}: {verdict}")
    return outcomes


def _attempt(part: Callable[[], Rows]) -> tuple[str, Rows]:
    try:
        return "passed", part()
    except RuntimeUnavailable as error:
        return f"skipped: {error}", []
    except Exception as error:  # the other parts are still to be told
        return f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:400]}", []


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
    """Run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_check", description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    options = parser.parse_args(argv)
    outcomes = run(PARTS.items(), lambda line: print(line, file=sys.stderr, flush=True))
    table = markdown(outcomes)
    print(table)
    if options.markdown:
        options.markdown.write_text(table, encoding="utf-8")
    return 1 if any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
