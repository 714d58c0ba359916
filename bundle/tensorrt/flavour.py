"""The two TensorRTs behind one name: the full library and TensorRT-RTX, with nearly the same Python interface.

Checks which is installed, and says in one sentence what is missing. Both are used strongly typed only: the
precision is in the ONNX file (TensorRT 11 supports nothing else).
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any, Literal

from bundle.errors import EngineError, RuntimeUnavailable
from common.gpu_faults import INSTALL, explain

FlavourName = Literal["tensorrt", "tensorrt-rtx"]
FLAVOURS: tuple[FlavourName, ...] = ("tensorrt", "tensorrt-rtx")
MODULES = {"tensorrt": ("tensorrt",), "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
VERSIONS = {"tensorrt": ((10, 16), (12, 0)), "tensorrt-rtx": ((1, 7), (2, 0))}
"""First version that is supported, first that is not known to work."""
LOGGERS: dict[str, Any] = {}
"""One a flavour for the life of the process: TensorRT's objects point at their logger and do not keep it alive."""


@dataclass(frozen=True)
class Flavour:
    """An imported TensorRT."""

    name: FlavourName
    version: str
    trt: Any
    """The Python module."""

    def logger(self) -> Any:
        """The flavour's logger, which keeps errors for our messages (see `logged_errors`), with none so far."""
        if self.name not in LOGGERS:
            LOGGERS[self.name] = _make_logger(self.trt)
        LOGGERS[self.name].errors.clear()
        return LOGGERS[self.name]


def load_flavour(name: FlavourName) -> Flavour:
    """Import a flavour, or raise RuntimeUnavailable: absent, broken, or of another version."""
    for module in MODULES[name]:
        if importlib.util.find_spec(module) is None:
            continue
        try:
            trt = importlib.import_module(module)
            version = str(trt.__version__)
        except (
            ImportError,
            OSError,
            RuntimeError,
            AttributeError,
        ) as error:
            # Bindings without their libraries, or a stub.
            why = explain(str(error), name) or f"{error}: {INSTALL[name]}"
            raise RuntimeUnavailable(f"{name} is installed but cannot be loaded: {why}") from error
        return check_version(Flavour(name, version, trt))
    raise RuntimeUnavailable(f"{name} is not installed: {INSTALL[name]}")


def installed_flavours() -> tuple[FlavourName, ...]:
    """Flavours that are installed, by name alone: nothing is imported."""
    return tuple(name for name in FLAVOURS if any(importlib.util.find_spec(module) for module in MODULES[name]))


def check_version(flavour: Flavour) -> Flavour:
    """The flavour, or RuntimeUnavailable with the versions that work."""
    first, beyond = VERSIONS[flavour.name]
    if not first <= tuple(int(part) for part in flavour.version.split(".")[:2]) < beyond:
        raise RuntimeUnavailable(
            f"{flavour.name} {flavour.version} is installed; needed is {'.'.join(map(str, first))} or newer, below "
            f"{beyond[0]}: {INSTALL[flavour.name]}"
        )
    return flavour


def logged_errors(logger: Any) -> str:
    """What TensorRT logged as errors, in one line; empty where there is nothing."""
    return "; ".join(dict.fromkeys(logger.errors))


def refusal(flavour: Flavour, what: str, reason: str, advice: str = "") -> RuntimeUnavailable | EngineError:
    """What to raise where TensorRT refuses: RuntimeUnavailable if `reason` blames the machine, else EngineError."""
    name = f"{flavour.name} {flavour.version}"
    if fault := explain(reason, flavour.name):
        return RuntimeUnavailable(f"{name} {what}: {fault}")
    return EngineError(f"{name} {what}: {reason or 'no reason given'}{advice}")


def _make_logger(trt: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        """Quiet: warnings are for the builders of graphs, errors come back in our exceptions."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message.strip())

    return Logger()
