"""The builder half of TensorRT's Python module, as far as `bundle.tensorrt.build` uses it; it notes what it is asked.

The full library cannot be installed from PyPI, so CI builds for real with TensorRT-RTX only; this holds the lines that
are for the full one.
"""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any


class FakeTensorRt:
    class Severity(enum.Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2

    class ILogger:
        pass

    def __init__(self, fails: str = "", dead: str = "") -> None:
        self.fails, self.dead = fails, dead
        self.ILogger.Severity = self.Severity  # type: ignore[attr-defined]
        self.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=3)
        self.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
        self.ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
        self.BuilderFlag = SimpleNamespace(TF32="TF32")
        self.network_flags = 0
        self.cleared: list[str] = []
        self.profiles: list[tuple[Any, ...]] = []
        self.timing_cache = b""

    def Builder(self, logger: Any) -> FakeTensorRt:
        self.logger = logger
        if self.dead:
            logger.log(self.Severity.ERROR, self.dead)
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return self

    def create_network(self, flags: int) -> Any:
        self.network_flags = flags
        return SimpleNamespace(num_inputs=1, get_input=lambda index: SimpleNamespace(name="x", shape=(-1, 8)))

    def OnnxParser(self, network: Any, logger: Any) -> Any:
        return SimpleNamespace(parse_from_file=lambda path: True)

    def create_builder_config(self) -> FakeTensorRt:
        return self

    def set_memory_pool_limit(self, pool: str, size_bytes: int) -> None:
        assert pool == "workspace"

    def clear_flag(self, flag: str) -> None:
        self.cleared.append(flag)

    def create_optimization_profile(self) -> Any:
        return SimpleNamespace(set_shape=lambda name, *bounds: self.profiles.append(bounds))

    def add_optimization_profile(self, profile: Any) -> int:
        return len(self.profiles) - 1

    def create_timing_cache(self, data: bytes) -> bytes:
        return data

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.timing_cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: self.timing_cache + b" and after")

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        if self.fails:
            self.logger.log(self.Severity.ERROR, self.fails)
            return None
        return b"plan"
