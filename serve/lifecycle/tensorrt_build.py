"""TensorRT engines built while another runtime answers: the service never waits minutes for its first answer.

Where a TensorRT is installed beside a GPU and the active bundle has no engine yet, a process of its own builds it into
the cache; then the bundle is loaded once more, proves itself on the golden crops, and takes over. Knows no HTTP.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Literal, TypedDict

from bundle.session import AUTO
from bundle.tensorrt.cuda import gpu_present
from bundle.tensorrt.flavour import FLAVOURS, FlavourName, installed_flavours
from serve.lifecycle.model_registry import ModelRegistry, ServedModel
from serve.settings import Settings

log = logging.getLogger(__name__)


class Upgrade(TypedDict):
    """How far the engines of a bundle are. `reason`: why they do not answer, where `state` is failed."""

    runtime: str
    state: Literal["building", "done", "failed"]
    reason: str | None


class BuildFailed(Exception):
    """The building process did not end well, or its engine is not what answers."""


class TensorrtBuilds:
    """At most one build at a time, and one for each bundle that becomes the active one. Thread-safe."""

    def __init__(self, models: ModelRegistry, settings: Settings) -> None:
        self._models, self._settings = models, settings
        self._told: dict[str, Upgrade] = {}
        self._considered: set[str] = set()
        self._stopping = threading.Event()
        self._worker: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None

    def told(self, bundle_id: str) -> Upgrade | None:
        """How far a bundle's engines are; None where none are built in the background."""
        return self._told.get(bundle_id)

    def consider(self) -> None:
        """Begin to build for the active bundle where that was not looked at yet and nothing else is being built."""
        live = self._models.active
        bundle_id = live.engine.ids[1]
        if bundle_id in self._considered or (self._worker is not None and self._worker.is_alive()):
            return
        self._considered.add(bundle_id)
        flavour = wanted(self._settings.runtime, live.engine.model.runtime)
        if flavour is None:
            return
        self._told[bundle_id] = Upgrade(runtime=flavour, state="building", reason=None)
        self._worker = threading.Thread(target=self._work, args=(live, flavour), name="engine build", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """End the building process; what it finished stays in the cache."""
        self._stopping.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        if self._worker is not None:
            self._worker.join()

    def _work(self, live: ServedModel, flavour: FlavourName) -> None:
        bundle_id = live.engine.ids[1]
        log.info("building %s engines; %s answers until they are ready", flavour, live.engine.model.runtime)
        try:
            self._build(live.engine.model.folder, flavour)
            old = self._models.renew(bundle_id)
        except Exception as error:
            self._told[bundle_id] = Upgrade(runtime=flavour, state="failed", reason=str(error))
            log.warning("%s goes on answering: %s", live.engine.model.runtime, error)
            return
        if old is live:
            self._told[bundle_id] = Upgrade(runtime=flavour, state="done", reason=None)
            log.info("%s answers from now on; it reproduced the golden outputs", flavour)
        else:
            reason = "; ".join(old.engine.model.passed_over) or "the engine was built but not taken"
            self._told[bundle_id] = Upgrade(runtime=flavour, state="failed", reason=reason)
            log.warning("%s goes on answering: %s", live.engine.model.runtime, reason)
        self._stopping.wait(self._settings.request_timeout_s)  # requests that still hold it are over then
        old.engine.close(self._settings.drain_s)

    def _build(self, bundle: Path, flavour: FlavourName) -> None:
        """In a process of its own: building takes gigabytes, and what breaks there must not break the service."""
        command = [sys.executable, "-m", "ear_teacher", "engine", str(bundle), "--runtime", flavour]
        command += ["--precision", self._settings.precision]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if self._stopping.is_set():
            self._process.terminate()
        said, _ = self._process.communicate()
        if self._process.returncode != 0:
            raise BuildFailed(f"no {flavour} engine could be built: {(said.strip().splitlines() or ['killed'])[-1]}")


def wanted(asked: str, runs_on: str) -> FlavourName | None:
    """The TensorRT that should answer here and does not: asked for by name or by "auto", installed, beside a GPU."""
    for name in installed_flavours() if asked == AUTO else FLAVOURS:
        if name == runs_on:
            return None
        if asked in (AUTO, name):
            return name if gpu_present() else None
    return None
