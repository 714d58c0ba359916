"""The models that are loaded: the one that answers, and during a promotion the other one; with the gallery they share.

A request reads `active` once and keeps what it got, so that a flip in between changes nothing for it. Knows no HTTP.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle.errors import EngineAbsent, EngineError
from bundle.model import EarModel, load
from bundle.session import AUTO
from index.errors import SpaceMismatch
from serve.errors import NotHere
from serve.inference.engine import BatchObserver, Engine
from serve.inference.gallery_pool import GalleryPool
from serve.inference.watchdog import Watchdog
from serve.lifecycle.gallery_store import open_store
from serve.lifecycle.startup import bundles_at_start
from serve.settings import Settings

if TYPE_CHECKING:
    from index.gallery import Gallery

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """A loaded model, its watchdog, and the gallery with its vectors (`gallery_pool`; None without a gallery)."""

    engine: Engine
    gallery_pool: GalleryPool | None
    watchdog: Watchdog

    @property
    def required_pool(self) -> GalleryPool:
        """The gallery_pool, or NotHere where there is none."""
        if self.gallery_pool is None:
            raise NotHere("this service was started without a gallery; start it with --gallery FOLDER")
        return self.gallery_pool

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """Thresholds and probabilities of this model's similarities; they change with the model."""
        return self.engine.model.manifest.calibration


class ModelRegistry:
    """Loaded models by bundle_id. Changing methods block: call them off the event loop."""

    def __init__(
        self, settings: Settings, observe: BatchObserver, outlast: Callable[[float], None] = lambda limit_s: None
    ) -> None:
        """Open what the settings, and the promotions of the gallery so far, name. Raises BundleError, GalleryError.

        outlast: waits, for some seconds at most, until the requests of now have ended.
        """
        self._settings, self._observe, self._outlast = settings, observe, outlast
        self._changing = threading.Lock()
        self.gallery_pool: GalleryPool | None = None
        active_folder, other_folder = bundles_at_start(settings)
        if settings.has_gallery:  # SQLAlchemy and FAISS take as long to import as the model takes to load: beside it
            threading.Thread(target=import_module, args=("index.gallery",), name="import", daemon=True).start()
        engine = self._load(active_folder)
        if settings.has_gallery:
            try:
                gallery = open_store(settings, engine.model.latent_dim, engine.ids[0])
            except Exception:
                engine.close()
                raise
            self.gallery_pool = GalleryPool(gallery, settings.index_threads, settings.queue_size)
        self.active = self._live(engine)
        self._models = {engine.ids[1]: self.active}
        if other_folder is not None:
            self.add(self.open(other_folder))

    @property
    def gallery(self) -> Gallery:
        """The gallery. Raises NotHere where there is none."""
        return self.active.required_pool.gallery

    def all(self) -> list[ServedModel]:
        """Every loaded model, the active one first."""
        active = self.active
        return [active, *(live for live in self._models.values() if live is not active)]

    def of(self, bundle_id: str) -> ServedModel:
        """A loaded model by its bundle. Raises NotHere."""
        if bundle_id not in self._models:
            raise NotHere(f"no model {bundle_id[:80]!r} is loaded; there are {', '.join(self._models)}")
        return self._models[bundle_id]

    def of_space(self, space_id: str | None) -> ServedModel:
        """The model of a space, the active one where none is named. Raises SpaceMismatch."""
        for live in self.all():
            if space_id in (None, live.engine.ids[0]):
                return live
        raise SpaceMismatch(self.active.engine.ids[0], str(space_id))

    def named(self, name: str | None) -> ServedModel:
        """A loaded model by bundle_id or space_id, the active one by an alias or no name. Raises NotHere.

        Two bundles of one space give the same vectors: the active one answers, where it is one of them.
        """
        if name is None or name in self.aliases:
            return self.active
        for live in self.all():
            if name in live.engine.ids:
                return live
        ids = ", ".join(live.engine.ids[1] for live in self.all())
        raise NotHere(
            f"no model {name[:80]!r} is loaded; there are {ids}, and {', '.join(self.aliases)} (the active one)"
        )

    @property
    def aliases(self) -> tuple[str, ...]:
        """Names of the active model, whichever it is."""
        return ("ear-teacher", *self._settings.model_aliases)

    def others(self, live: ServedModel) -> list[ServedModel]:
        """Models of the other live spaces: they must learn of every write too."""
        return [other for other in self.all() if other.engine.ids[0] != live.engine.ids[0]]

    def open(self, bundle: Path) -> ServedModel:
        """Load a bundle and let it prove itself; it is not used before `add`. Raises BundleError."""
        return self._live(self._load(bundle))

    def add(self, live: ServedModel) -> None:
        """Let a model take part: its space receives every write from now on."""
        with self._changing:
            self.gallery.spaces.stage(live.engine.ids[0], live.engine.model.latent_dim)
            self._models = {**self._models, live.engine.ids[1]: live}

    def activate(self, bundle_id: str, missing_allowed: int = 0) -> None:
        """Let a model answer: index and model flip in one step. Raises PromotionRefused."""
        with self._changing:
            live = self.of(bundle_id)
            self.gallery.spaces.activate(live.engine.ids[0], missing_allowed)
            self.active = live

    def renew(self, bundle_id: str) -> ServedModel:
        """Load a bundle once more, on what is now the fastest runtime, and let it take over from its elder.

        Returns the one that no longer answers, for the caller to close when the requests that hold it are over: the new
        one, where it runs on the same runtime or the bundle was retired meanwhile. Raises BundleError.
        """
        old = self.of(bundle_id)
        fresh = self.open(old.engine.model.folder)
        with self._changing:
            if fresh.engine.model.runtime == old.engine.model.runtime or self._models.get(bundle_id) is not old:
                return fresh
            self._models = {**self._models, bundle_id: fresh}
            if self.active is old:
                self.active = fresh
        return old

    def retire(self, bundle_id: str) -> None:
        """Unload a model that does not answer, and delete its space, unless another model shares it.

        Requests that took it before are waited for, within `drain_s`.
        """
        with self._changing:
            live = self.of(bundle_id)
            assert live is not self.active, "the active model cannot be retired"
            self._models = {key: other for key, other in self._models.items() if other is not live}
            self._outlast(self._settings.drain_s)
            shared = any(other.engine.ids[0] == live.engine.ids[0] for other in self._models.values())
            if not shared:
                self.gallery.spaces.retire(live.engine.ids[0])
        live.engine.close(self._settings.drain_s)

    def close(self) -> None:
        """Let what runs end within `drain_s`, then free models and gallery."""
        for live in self.all():
            live.engine.close(self._settings.drain_s)
        if self.gallery_pool is not None:
            self.gallery_pool.close()

    def _load(self, bundle: Path) -> Engine:
        model = self._opened(bundle)
        try:
            model.check_golden()
            engine = Engine(model, self._settings, self._observe)
            engine.warm_up()
        except Exception:
            model.close()
            raise
        return engine

    def _opened(self, bundle: Path) -> EarModel:
        """The model on the runtime asked for; while TensorRT's engine is not built, on another."""
        settings = self._settings
        try:
            model = load(
                bundle, settings.runtime, settings.precision, settings.threads, build=False, slots=settings.gpu_slots
            )
        except (EngineAbsent, EngineError) as error:
            log.warning("%s; another runtime answers until it is", error)
            model = load(bundle, AUTO, settings.precision, settings.threads, slots=settings.gpu_slots)
            model.requested = settings.runtime
            model.passed_over = (f"{settings.runtime}: {error}", *model.passed_over)
        log.log(
            logging.WARNING if model.passed_over else logging.INFO,
            "%s (%s) answers; --runtime is %s%s", model.runtime, model.precision, model.requested,
            "".join(f"; passed over {reason}" for reason in model.passed_over),
        )  # fmt: skip
        return model

    def _live(self, engine: Engine) -> ServedModel:
        return ServedModel(engine, self.gallery_pool, Watchdog(engine, self._settings.stalled_after_s))
