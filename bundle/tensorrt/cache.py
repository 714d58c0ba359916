"""Where built engines are kept: one plan a key, beside the facts it was built for, under a file lock.

A plan counts only for the ONNX file, GPU, TensorRT flavour and version, precision and profiles of its key; all else is
refused with the reason. The plan is written first and its facts last, so a plan without facts was never finished.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bundle.errors import EngineError, RuntimeUnavailable
from bundle.fingerprint import canonical_json
from bundle.tensorrt.build import CURRENT_GPU, BuildOptions, BuiltPlan, build_plan
from bundle.tensorrt.cuda import Cuda
from bundle.tensorrt.flavour import Flavour
from common.durable_files import sha256_file, write_atomically

ANY_GPU = "any"
"""The GPU's name in the key of a plan that was built ahead for a compute capability."""


@dataclass(frozen=True)
class EngineKey:
    """All that a plan depends on."""

    onnx_sha256: str
    gpu: str
    sm: str
    flavour: str
    version: str
    precision: str
    batches: tuple[int, ...]

    @property
    def digest(self) -> str:
        """16 hex digits that name the files."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest()[:16]


def engine_key(onnx: Path, flavour: Flavour, precision: str, options: BuildOptions) -> EngineKey:
    """The key of an ONNX file on this machine's GPU, or for `options.target`. Raises RuntimeUnavailable with no GPU."""
    if options.target == CURRENT_GPU:
        gpu = Cuda().gpu()
        name, sm = gpu.name, gpu.sm
    else:
        name, sm = ANY_GPU, options.target
    return EngineKey(sha256_file(onnx), name, sm, flavour.name, flavour.version, precision, options.batches)


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/ear-teacher/engines`, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ear-teacher" / "engines"


class EngineCache:
    """A folder of plans. Safe for several processes: builds of one key wait for each other."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_cache()

    def plan_path(self, key: EngineKey) -> Path:
        return self.folder / f"{key.digest}.plan"

    def find(self, key: EngineKey) -> bytes | None:
        """The plan of a key, or None where it was never built.

        Raises EngineError where facts or plan are not those of the key: changed, copied from elsewhere, half written.
        """
        facts = _read_facts(self._facts_path(key))
        if facts is None:
            return None
        differing = [name for name, value in _plain(key).items() if facts.get(name) != value]
        if differing:
            was, now = facts.get(differing[0]), _plain(key)[differing[0]]
            raise EngineError(
                f"{self._facts_path(key)} is of another engine: {differing[0]} is {was!r}, here it is {now!r}"
            )
        try:
            plan = self.plan_path(key).read_bytes()
        except OSError as error:
            raise EngineError(f"{self.plan_path(key)} cannot be read ({error.strerror}); build it again") from error
        if hashlib.sha256(plan).hexdigest() != facts.get("plan_sha256"):
            raise EngineError(f"{self.plan_path(key)} was changed since it was built; delete it and build it again")
        return plan

    def why_absent(self, key: EngineKey) -> str:
        """One sentence on the nearest plan there is: stale, foreign, or none at all."""
        expected = _plain(key)
        nearest: tuple[int, str] = (len(expected), "")
        for path in sorted(self.folder.glob("*.json")):
            try:
                facts = _read_facts(path) or {}
            except EngineError:  # damaged facts explain nothing
                continue
            differing = [name for name, value in expected.items() if facts.get(name) != value]
            if 0 < len(differing) < nearest[0]:
                description = ", ".join(f"{name} {facts.get(name)!r} (here {expected[name]!r})" for name in differing)
                nearest = (len(differing), description)
        description = f"; the nearest is for {nearest[1]}" if nearest[1] else ""
        build = "`ear-teacher engine BUNDLE` builds it"
        return f"{self.folder} has no {key.flavour} engine for this file and GPU{description}; {build}"

    def build(self, onnx: Path, key: EngineKey, flavour: Flavour, options: BuildOptions, anew: bool = False) -> bytes:
        """The plan of a key, built if need be (or `anew`) while other processes that want it wait."""
        return self.once(key, lambda timing: build_plan(onnx, flavour, key.precision, options, timing), anew)

    def once(self, key: EngineKey, make: Callable[[bytes], BuiltPlan], anew: bool = False) -> bytes:
        """The plan of a key, or what `make` gives for the timing cache so far; one process makes, the others wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _lock(self.folder / f"{key.digest}.lock"):
            plan = None if anew else self._find_or_forget(key)
            if plan is not None:
                return plan
            timing = self.folder / f"timing-{key.flavour}-{key.version}-{key.sm}.cache"
            built = make(timing.read_bytes() if timing.exists() else b"")
            write_atomically(self.plan_path(key), built.plan)
            facts = _plain(key) | {"plan_sha256": hashlib.sha256(built.plan).hexdigest()}
            write_atomically(self._facts_path(key), json.dumps(facts, indent=1, sort_keys=True).encode())
            if built.timing_cache:
                # Two builds at once may each add to it; the last one stays, and the other is timed again later.
                write_atomically(timing, built.timing_cache)
            return built.plan

    def _find_or_forget(self, key: EngineKey) -> bytes | None:
        try:
            return self.find(key)
        except EngineError:  # a damaged entry is built anew: whoever asks for a build has asked for that
            self._facts_path(key).unlink(missing_ok=True)
            return None

    def _facts_path(self, key: EngineKey) -> Path:
        return self.folder / f"{key.digest}.json"


def _plain(key: EngineKey) -> dict[str, Any]:
    return asdict(key) | {"batches": list(key.batches)}


def _read_facts(path: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} cannot be read ({error}); delete it and build the engine again") from error
    return facts if isinstance(facts, dict) else {}


def _lock(path: Path) -> AbstractContextManager[Any]:
    try:
        from filelock import FileLock
    except ImportError as error:
        raise RuntimeUnavailable("building engines needs filelock: pip install 'filelock>=3.16'") from error
    return FileLock(path)
