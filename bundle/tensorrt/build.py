"""ONNX -> TensorRT plan, for TensorRT 10.16 and 11 and TensorRT-RTX alike.

Strongly typed always, one optimisation profile a batch range, a timing cache. Knows no files but the ONNX: where plans
are kept and for which GPU they count is `bundle.tensorrt.cache`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.errors import EngineError, RuntimeUnavailable
from bundle.tensorrt.cuda import Cuda
from bundle.tensorrt.flavour import Flavour, logged_errors, refusal
from common.gpu_faults import explain

CURRENT_GPU = "current"


@dataclass(frozen=True)
class BuildOptions:
    """What a plan is built for."""

    batches: tuple[int, ...] = (1, 8, 32)
    """The batch sizes that the profiles are tuned for; the last is the largest that will run. (--batches)"""
    workspace_bytes: int | None = None
    """Device memory that activations and scratch may take; None for all that the GPU has. (--workspace-gib)"""
    optimisation_level: int = 3
    """0 (fast build) to 5 (fast engine). (--level)"""
    target: str = CURRENT_GPU
    """`sm89` and the like: build TensorRT-RTX ahead for that compute capability, without a GPU. (--target)"""

    def __post_init__(self) -> None:
        if not self.batches or list(self.batches) != sorted(set(self.batches)) or self.batches[0] < 1:
            raise EngineError(f"--batches is {self.batches}; needed are growing sizes from 1 on, such as 1,8,32")
        if not 0 <= self.optimisation_level <= 5:
            raise EngineError(f"--level is {self.optimisation_level}; allowed are 0 to 5")
        if self.workspace_bytes is not None and self.workspace_bytes < 1 << 20:
            raise EngineError(f"--workspace-gib gives {self.workspace_bytes} bytes; at least 1 MiB is needed")

    def profiles(self) -> list[tuple[int, int, int]]:
        """(min, opt, max) batch of each profile: (1, 1, 1), (2, 8, 8), (9, 32, 32)."""
        return [(low + 1, best, best) for low, best in zip((0, *self.batches), self.batches, strict=False)]


DEFAULT_OPTIONS = BuildOptions()


@dataclass(frozen=True)
class BuiltPlan:
    """A serialised engine and the timing cache to keep for the next build (empty where the flavour has none)."""

    plan: bytes
    timing_cache: bytes


def build_plan(
    onnx: Path, flavour: Flavour, precision: str, options: BuildOptions = DEFAULT_OPTIONS, timing_cache: bytes = b""
) -> BuiltPlan:
    """Parse and build. precision: what the ONNX holds; "fp32" keeps TF32 off, as parity needs.

    Raises RuntimeUnavailable where no GPU can build it, EngineError with TensorRT's own words otherwise.
    """
    check_target(flavour, options)
    trt, logger = flavour.trt, flavour.logger()
    builder = _create(lambda: trt.Builder(logger), flavour, logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise EngineError(f"{flavour.name} {flavour.version} cannot parse {onnx.name}: {_parse_errors(errors)}")
    config = _configure(flavour, builder, network, precision, options)
    if flavour.name == "tensorrt":  # TensorRT-RTX times nothing when it builds, and warns when asked to
        config.set_timing_cache(config.create_timing_cache(timing_cache), ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = logged_errors(logger)
        if "OutOfMemory" in reason or "workspace" in reason:
            reason += f"; end --batches ({','.join(map(str, options.batches))}) at a smaller size, or allow more memory"
            raise EngineError(f"{flavour.name} {flavour.version} cannot build {onnx.name}: {reason}")
        raise refusal(flavour, f"cannot build {onnx.name}", reason)
    return BuiltPlan(bytes(plan), bytes(config.get_timing_cache().serialize()) if flavour.name == "tensorrt" else b"")


def check_target(flavour: Flavour, options: BuildOptions) -> None:
    """Raise RuntimeUnavailable or EngineError unless this machine can build for the target."""
    if options.target == CURRENT_GPU:
        try:
            Cuda()
        except RuntimeUnavailable as error:
            hint = "; or name a GPU to build for, such as --target sm89" if flavour.name == "tensorrt-rtx" else ""
            raise RuntimeUnavailable(f"{flavour.name} builds on the GPU that will run it: {error}{hint}") from error
    elif flavour.name != "tensorrt-rtx":
        raise RuntimeUnavailable(f"--target builds ahead with TensorRT-RTX only; {flavour.name} needs the GPU itself")
    else:
        targets = [name.lower() for name in flavour.trt.ComputeCapability.__members__ if name.startswith("SM")]
        if options.target not in targets:
            raise EngineError(
                f"--target is {options.target!r}; TensorRT-RTX {flavour.version} knows {', '.join(targets)}"
            )


def _configure(flavour: Flavour, builder: Any, network: Any, precision: str, options: BuildOptions) -> Any:
    trt = flavour.trt
    config = builder.create_builder_config()
    if options.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.builder_optimization_level = options.optimisation_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.target != CURRENT_GPU:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, options.target.upper()), 0)
    for bounds in options.profiles():
        profile = builder.create_optimization_profile()
        for index in range(network.num_inputs):
            tensor = network.get_input(index)
            shape = tuple(tensor.shape)
            if shape[0] != -1 or -1 in shape[1:]:
                raise EngineError(f"input {tensor.name} is {shape}; an engine needs a free batch and nothing else free")
            profile.set_shape(tensor.name, *((batch, *shape[1:]) for batch in bounds))
        if config.add_optimization_profile(profile) < 0:
            raise EngineError(f"{flavour.name} {flavour.version} refused the profile for batches {bounds}")
    return config


def _create(make: Any, flavour: Flavour, logger: Any) -> Any:
    try:
        return make()
    except TypeError as error:  # pybind11's words for "the constructor gave no object": no driver, or too old a one
        reason = logged_errors(logger) or str(error)
        raise RuntimeUnavailable(
            f"{flavour.name} {flavour.version} cannot start: {explain(reason, flavour.name) or reason}"
        ) from error


def _parse_errors(errors: list[Any]) -> str:
    return "; ".join(
        f"{error.node_operator() or '?'} {error.node_name() or ''}: {error.desc()}" for error in errors[:3]
    )
