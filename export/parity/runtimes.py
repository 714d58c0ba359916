"""The runtimes of this machine beside the CPU's: what goes into the bundle is compared with torch on each of them.

The CPU decides whether a file is shipped, for every machine has one. A file that fails elsewhere is shipped and refused
on that runtime alone: `bundle.model.choose_variant` reads it from the manifest's rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bundle.errors import BundleError
from bundle.manifest import Graph, Precision
from bundle.runtimes import candidates, open_session
from export.parity.fp16_emulation import RUNTIME as HALF_RUNTIME
from export.parity.judge import ParityRow
from export.parity.variants import RUNTIME, Reference, judge_session

SHIPPING = (RUNTIME, HALF_RUNTIME)
"""The runtimes whose rows decide whether a file is shipped."""


def ships(row: ParityRow) -> bool:
    """Whether this row decides on the file, and not on one runtime of this machine."""
    return row.runtime in SHIPPING


def judge_elsewhere(
    path: Path,
    graph: Graph,
    precision: Precision,
    reference: Reference,
    max_batch: int,
    tell: Callable[[str], None] = lambda _: None,
) -> list[ParityRow]:
    """Rows of every other runtime here that can load the file; TensorRT builds its engine for that (minutes).

    One that cannot load it is told and has no row: it will not load it when it serves either.
    """
    rows: list[ParityRow] = []
    for runtime in candidates():
        if runtime in SHIPPING:
            continue
        tell(f"{path.name}: on {runtime}")
        try:
            session = open_session(path, runtime, precision=precision)
        except BundleError as error:
            tell(f"{path.name}: not compared on {runtime}: {error}")
            continue
        try:
            rows += judge_session(session, path.name, graph, precision, reference, max_batch, tell)
        except Exception as error:  # each runtime has exceptions of its own
            text = f"it does not run: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            rows.append(ParityRow(graph, precision, runtime, max_batch, 0, refusals=(text,)))
        finally:
            session.close()
    return rows
