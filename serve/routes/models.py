"""GET /v1/models: which models answer here, what they are and how true they are to their training."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from client.operations import MODEL, MODELS
from client.service_models import Model, ModelList
from measure.calibration import NOT_RECORDED
from serve.http.responses import Answer
from serve.inference.engine import Engine
from serve.lifecycle.model_registry import ModelRegistry, ServedModel
from serve.oip.models import version_of
from serve.routes import calibrations
from serve.routes.common import received, serves
from serve.service import Service, service_of

if TYPE_CHECKING:
    from index.promotion import SpaceStatus
    from index.store.space_rows import StoredCalibration

router = APIRouter(tags=["models"])


@serves(router, MODELS, "embed")
async def models(request: Request) -> Answer:
    """The models that this service holds: the active one first, then those of a promotion."""
    await received(request, MODELS)
    service = service_of(request)
    service.use(request)
    return Answer(ModelList("list", await asyncio.to_thread(_all, service)))


@serves(router, MODEL, "embed")
async def model(request: Request, model_id: str) -> Answer:
    """One model, by its bundle_id, its space_id or an alias: `ear-teacher` is the active one."""
    await received(request, MODEL)
    service = service_of(request)
    bundle_id = service.use(request, model=model_id).engine.ids[1]
    models = await asyncio.to_thread(_all, service)
    return Answer(next(model for model in models if model.bundle_id == bundle_id))


def _all(service: Service) -> list[Model]:
    models = service.loaded()
    spaces = (
        {one.space.space_id: one for one in models.gallery.spaces.status()} if models.gallery_pool is not None else {}
    )
    kept = {space_id: models.gallery.calibration(space_id) for space_id in spaces}
    return [
        _described(service, models, live, spaces.get(live.engine.ids[0]), kept.get(live.engine.ids[0]))
        for live in models.all()
    ]


def _described(
    service: Service,
    models: ModelRegistry,
    live: ServedModel,
    space: SpaceStatus | None,
    kept: StoredCalibration | None,
) -> Model:
    """A model: OpenAI's fields, its identity, how it runs, its parity and training figures.

    space, kept: its space in the gallery, and the gallery's calibration of it.
    """
    model, manifest = live.engine.model, live.engine.model.manifest
    is_active = live is models.active
    build = service.tensorrt_builds.told(model.bundle_id) if service.tensorrt_builds is not None else None
    return Model(
        id=model.bundle_id,
        object="model",
        created=int(datetime.fromisoformat(manifest.created).timestamp()),
        owned_by="ear-teacher",
        state="active" if is_active else (space.space.state if space is not None else "staged"),
        aliases=list(models.aliases) if is_active else [],
        version=version_of(model.bundle_id),
        space_id=model.space_id,
        bundle_id=model.bundle_id,
        runtime=model.runtime,
        requested_runtime=model.requested,
        fallback_reasons=list(model.passed_over),
        precision=model.precision,
        ear_likeness_from="reconstruction" if manifest.ear_spread is None else "landmarks",
        preset=manifest.preset,
        latent_dim=model.latent_dim,
        parity=manifest.parity,
        training=manifest.training,
        eigenears=_eigenears(live.engine),
        calibration=manifest.calibration,
        calibrated_on=None if manifest.calibration is None else manifest.calibration.get("calibrated_on", NOT_RECORDED),
        gallery_calibration=None if kept is None else calibrations.described(kept),
        engine_build=None if build is None else {**build},
        **_kept(space),
    )


def _kept(space: SpaceStatus | None) -> dict[str, Any]:
    """How the gallery holds a model's vectors, and how many of the truly nearest its searches find."""
    if space is None:
        return {"gallery_items": None, "index": None, "recall": None}
    recall = dataclasses.asdict(space.recall) if space.recall is not None else None
    return {"gallery_items": space.items, "index": space.index._asdict(), "recall": recall}


def _eigenears(engine: Engine) -> dict[str, Any] | None:
    if engine.eigenears is None:
        return None
    return {"count": engine.eigenears.count, "shares": engine.eigenears.shares}
