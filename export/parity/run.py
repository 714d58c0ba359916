"""Runs what the gate judges: the torch modules and the exported files on the same inputs, at several batch sizes.

Knows how to run, not what is good enough (`export/parity/judge.py`, `export/parity/limits.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bundle.session import Session
from export.config import MIN_PARITY_CROPS

Outputs = dict[str, NDArray[Any]]

FEW = 24
"""Inputs run at the small batches, where running all of them would show nothing more."""
MOST_CROPS = 256


def run_torch(graph: nn.Module, inputs: NDArray[Any], names: Sequence[str], batch: int) -> Outputs:
    """The outputs of a graph module by name, computed `batch` inputs at a time."""
    parts: list[tuple[NDArray[Any], ...]] = []
    with torch.inference_mode():
        for start in range(0, len(inputs), batch):
            given = graph(torch.from_numpy(np.ascontiguousarray(inputs[start : start + batch])))
            outputs = (given,) if isinstance(given, torch.Tensor) else given
            parts.append(tuple(output.numpy() for output in outputs))
    return {name: np.concatenate([part[index] for part in parts]) for index, name in enumerate(names)}


def run_session(session: Session, input_name: str, inputs: NDArray[Any], batch: int) -> Outputs:
    """The outputs of a session by name, computed `batch` inputs at a time."""
    parts = [session.run({input_name: inputs[start : start + batch]}) for start in range(0, len(inputs), batch)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def batches(count: int, max_batch: int) -> Iterator[tuple[int, int]]:
    """(batch size, inputs to run): 1, 3 and the largest, for `count` inputs at hand."""
    largest = min(count, max_batch)
    for batch in sorted({1, min(3, largest), largest}):
        yield batch, count if batch == largest else min(count, FEW)


def crops_within(seconds: float, graph: nn.Module, crop: NDArray[np.uint8]) -> int:
    """How many crops the torch graph can take in about `seconds`: between `MIN_PARITY_CROPS` and `MOST_CROPS`.

    crop: (1, S, S, 3) uint8, run once, and once more where the first run is quick: it has threads and caches to warm.
    """
    cost_s = _seconds(graph, crop)
    if cost_s < seconds / MIN_PARITY_CROPS:
        cost_s = _seconds(graph, crop)
    return int(min(max(seconds / max(cost_s, 1e-9), MIN_PARITY_CROPS), MOST_CROPS))


def _seconds(graph: nn.Module, crop: NDArray[np.uint8]) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        graph(torch.from_numpy(crop))
    return time.perf_counter() - start
