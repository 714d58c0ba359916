"""A graph that runs: the one seam between what is computed and how.

Knows the runtimes by name only; `bundle/runtimes.py` opens the sessions, each in its own `session_*.py`. `SlotPool`
is what sessions on a GPU share; `FakeSession` stands in for a graph in tests.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from bundle.errors import ContractError

Arrays = Mapping[str, NDArray[Any]]
Shape = tuple[int | str, ...]
"""A word, or -1 where the runtime names no dimension, is a free size."""

RUNTIMES = ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "onnxruntime-cpu")
"""The fastest first."""
AUTO = "auto"
SlotT = TypeVar("SlotT")


@dataclass(frozen=True)
class Signature:
    """Name -> (numpy dtype name, shape) at the edges of a graph."""

    inputs: Mapping[str, tuple[str, Shape]]
    outputs: Mapping[str, tuple[str, Shape]]


class Session(Protocol):
    """One loaded graph. `run` may be called from several threads at once."""

    runtime: str
    """One of RUNTIMES: what really computes, not what was asked for."""
    precision: str
    """fp32 or fp16."""
    buckets: tuple[int, ...] | None
    """Batches that a smaller one is padded up to and costs as much as, rising; None: any size runs as it is."""
    slots: int
    """Runs that gain from being under way at once: one is copied while another computes; 1: nothing is gained."""

    def signature(self) -> Signature:
        """What the graph takes and gives."""

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Every output by name. Raises ContractError where names, dtypes or shapes are wrong."""

    def close(self) -> None:
        """Free its memory; a closed session must not be run."""


def check_inputs(inputs: Arrays, signature: Signature) -> None:
    """Raise ContractError unless the arrays are those the signature asks for, with one size for each free dimension."""
    if set(inputs) != set(signature.inputs):
        raise ContractError(f"inputs are {sorted(inputs)}; the graph takes {sorted(signature.inputs)}")
    free: dict[str, int] = {}
    for name, array in inputs.items():
        dtype, shape = signature.inputs[name]
        fits = array.dtype.name == dtype and array.ndim == len(shape) and 0 not in array.shape
        for size, expected in zip(array.shape, shape, strict=False):
            if isinstance(expected, str):
                expected = free.setdefault(expected, size)
            fits = fits and expected in (-1, size)
        if not fits:
            raise ContractError(f"input {name} is {array.shape} {array.dtype}; the graph takes {shape} {dtype}")


class SlotPool(Generic[SlotT]):
    """A session's slots, each for one caller at a time: memory and a stream of its own for a batch on its way."""

    def __init__(self, slots: Sequence[SlotT], owner: str) -> None:
        """owner: `the ... session`, for messages."""
        self._owner, self._count = owner, len(slots)
        self._free: queue.SimpleQueue[SlotT | None] = queue.SimpleQueue()
        self._taking_all = threading.Lock()  # two callers that each waited for the other's slots would wait for ever
        for slot in slots:
            self._free.put(slot)

    @contextmanager
    def one(self) -> Iterator[SlotT]:
        """A slot, waiting for one. Raises ContractError once the pool is closed."""
        slot = self._free.get()
        try:
            if slot is None:
                raise ContractError(f"{self._owner} was closed")
            yield slot
        finally:
            self._free.put(slot)

    @contextmanager
    def all(self) -> Iterator[list[SlotT]]:
        """Every slot, for what must not happen beside a run; the caller holds none. Raises ContractError if closed."""
        with self._taking_all:
            if not self._count:
                raise ContractError(f"{self._owner} was closed")
            slots = self._take_all()
            try:
                yield slots
            finally:
                for slot in slots:
                    self._free.put(slot)

    def close(self) -> list[SlotT]:
        """Wait for every slot and give them away to be freed; none where the pool was closed before."""
        with self._taking_all:
            slots, self._count = self._take_all(), 0
            self._free.put(None)  # a caller that waits for a slot must not wait for ever
            return slots

    def _take_all(self) -> list[SlotT]:
        taken = (self._free.get() for _ in range(self._count))
        return [slot for slot in taken if slot is not None]


@dataclass
class FakeSession:
    """A session whose graph is a Python function; for tests of what runs sessions."""

    function: Callable[[Arrays], dict[str, NDArray[Any]]]
    runtime: str = "fake"
    precision: str = "fp32"
    described: Signature = field(default_factory=lambda: Signature({}, {}))
    closed: bool = False
    buckets: tuple[int, ...] | None = None
    slots: int = 1

    def signature(self) -> Signature:
        return self.described

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        if self.closed:
            raise ContractError("the session was closed")
        return self.function(inputs)

    def close(self) -> None:
        self.closed = True
