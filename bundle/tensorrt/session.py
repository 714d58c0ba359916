"""TensorRT and TensorRT-RTX sessions: a plan, run without torch.

An execution slot is one stream with its memory; a caller has a slot to itself. Batches are padded to a bucket (a power
of two within the plan's profiles), and copies in, kernels and copies out of a bucket are one CUDA graph. Plans come
from `bundle.tensorrt.cache`. No card has run it yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.errors import ContractError, EngineAbsent
from bundle.session import Arrays, Signature, SlotPool, check_inputs
from bundle.tensorrt.build import DEFAULT_OPTIONS, BuildOptions
from bundle.tensorrt.cache import EngineCache, engine_key
from bundle.tensorrt.cuda import Cuda
from bundle.tensorrt.execution_slot import ExecutionSlot
from bundle.tensorrt.flavour import Flavour, FlavourName, load_flavour, logged_errors, refusal

DTYPES = {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16", "INT32": "int32", "INT64": "int64"}


@dataclass(frozen=True)
class Profile:
    """The batches that one optimisation profile takes."""

    index: int
    low: int
    high: int


def open_tensorrt(
    onnx: Path,
    runtime: FlavourName,
    precision: str,
    build: bool = True,
    options: BuildOptions = DEFAULT_OPTIONS,
    cache: EngineCache | None = None,
    slots: int = 1,
) -> TensorRtSession:
    """A session for an ONNX file from its cached plan, which is built first where `build` allows (minutes).

    Raises RuntimeUnavailable without the library or a GPU, EngineAbsent without a plan, EngineError for a plan that is
    stale or foreign.
    """
    cuda, flavour, cache = Cuda(), load_flavour(runtime), cache or EngineCache()
    key = engine_key(onnx, flavour, precision, options)
    plan = cache.build(onnx, key, flavour, options) if build else cache.find(key)
    if plan is None:
        raise EngineAbsent(cache.why_absent(key))
    return TensorRtSession(load_engine(flavour, plan, onnx.name), flavour, cuda, precision, slots)


def load_engine(flavour: Flavour, plan: bytes, name: str) -> Any:
    """Deserialise a plan. Raises RuntimeUnavailable for what the machine lacks, EngineError for another GPU's plan."""
    logger = flavour.logger()
    engine = flavour.trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        advice = "; build it anew with `ear-teacher engine BUNDLE --anew`"
        raise refusal(flavour, f"refuses the plan of {name}", logged_errors(logger), advice)
    return engine


class TensorRtSession:
    """A loaded plan. See `bundle.session.Session`; callers beyond the number of slots wait."""

    def __init__(self, engine: Any, flavour: Flavour, cuda: Cuda, precision: str, slots: int = 1) -> None:
        """slots: streams that may run at once, each with the engine's whole activation memory."""
        self.runtime: str = flavour.name
        self.precision, self.slots = precision, slots
        self._engine = engine
        self._signature = read_signature(engine, flavour.trt)
        self.profiles = read_profiles(engine, next(iter(self._signature.inputs)))
        self.max_batch = self.profiles[-1].high
        padded = {self._bucket(size)[0] for size in range(1, self.max_batch + 1)}
        self.buckets: tuple[int, ...] | None = tuple(sorted(padded))
        made = [ExecutionSlot(cuda, flavour, engine, self._signature, self.max_batch) for _ in range(slots)]
        self._slots = SlotPool(made, f"the {self.runtime} session")

    def signature(self) -> Signature:
        """As the engine declares it, the batch free."""
        return self._signature

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Every output by name, for any batch: more than the plan's largest is run in parts."""
        check_inputs(inputs, self._signature)
        batch = len(next(iter(inputs.values())))
        parts = []
        with self._slots.one() as slot:
            for start in range(0, batch, self.max_batch):
                rows = slice(start, start + self.max_batch)
                size = min(self.max_batch, batch - start)
                parts.append(slot.run({name: array[rows] for name, array in inputs.items()}, size, *self._bucket(size)))
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._signature.outputs}

    def device_times_ms(self, inputs: Arrays) -> tuple[float, float, float]:
        """Copy in, compute, copy out of one batch, in ms by CUDA events and without a graph; for the bench."""
        check_inputs(inputs, self._signature)
        size = len(next(iter(inputs.values())))
        if size > self.max_batch:
            raise ContractError(f"batch {size} is beyond the plan's largest, {self.max_batch}")
        bucket, profile = self._bucket(size)
        with self._slots.one() as slot:
            return slot.times_ms(inputs, bucket, profile)

    def close(self) -> None:
        """Wait for the slots and free the GPU's memory."""
        for slot in self._slots.close():
            slot.close()
        self._engine = None

    def _bucket(self, batch: int) -> tuple[int, int]:
        """The padded batch and the index of the profile that takes it."""
        padded = min(1 << (batch - 1).bit_length(), self.max_batch)
        for profile in self.profiles:
            if padded <= profile.high:
                return max(padded, profile.low), profile.index
        raise AssertionError(f"no profile for a batch of {padded}")


def read_signature(engine: Any, trt: Any) -> Signature:
    """Names, dtypes and shapes of a plan; a free size is -1."""
    edges: dict[bool, dict[str, tuple[str, tuple[int | str, ...]]]] = {True: {}, False: {}}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        dtype = engine.get_tensor_dtype(name).name
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        edges[is_input][name] = (DTYPES.get(dtype, dtype), tuple(engine.get_tensor_shape(name)))
    return Signature(edges[True], edges[False])


def read_profiles(engine: Any, input_name: str) -> list[Profile]:
    """The batch range of each optimisation profile, the smallest first."""
    shapes = [engine.get_tensor_profile_shape(input_name, index) for index in range(engine.num_optimization_profiles)]
    profiles = [Profile(index, low[0], high[0]) for index, (low, _, high) in enumerate(shapes)]
    return sorted(profiles, key=lambda profile: profile.high)
