"""GET /v1/models: which models answer here, what they are and how true they are to their training."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from serve.errors import NotHere
from serve.http.responses import Answer
from serve.inference.engine import Engine
from serve.routes.common import ERRORS, needs
from serve.service import service_of

if TYPE_CHECKING:
    from index.promotion import SpaceStatus

router = APIRouter(tags=["models"], dependencies=[needs("embed")], responses=ERRORS)


@router.get("/v1/models", response_class=Answer)
async def models(request: Request) -> Answer:
    """The models that this service holds: the active one first, then those of a promotion."""
    return Answer({"object": "list", "data": await asyncio.to_thread(_all, request)})


@router.get("/v1/models/{model_id}", response_class=Answer)
async def model(request: Request, model_id: str) -> Answer:
    """One model, by its bundle_id."""
    for told in await asyncio.to_thread(_all, request):
        if told["id"] == model_id:
            return Answer(told)
    raise NotHere(f"no model {model_id[:80]!r}; GET /v1/models lists them")


def _all(request: Request) -> list[dict[str, Any]]:
    service = service_of(request)
    service.use(request)
    models = service.models
    assert models is not None, "use() raises while there is none"
    states = {one.space.space_id: one for one in models.gallery.spaces.status()} if models.desk is not None else {}
    told = []
    for live in models.all():
        space = states.get(live.engine.ids[0])
        state = "active" if live is models.active else (space.space.state if space is not None else "staged")
        upgrade = service.upgrades.told(live.engine.ids[1]) if service.upgrades is not None else None
        told.append({**described(live.engine, state), "engine_build": upgrade, **_kept(space)})
    return told


def _kept(space: SpaceStatus | None) -> dict[str, Any]:
    """How the gallery holds a model's vectors, and how many of the truly nearest its searches find."""
    if space is None:
        return {"gallery_items": None, "index": None, "recall": None}
    recall = dataclasses.asdict(space.recall) if space.recall is not None else None
    return {"gallery_items": space.items, "index": space.index._asdict(), "recall": recall}


def described(engine: Engine, state: str) -> dict[str, Any]:
    """A model as JSON: OpenAI's fields first, then its identity, how it runs, its parity and training figures."""
    model, manifest = engine.model, engine.model.manifest
    return {
        "id": model.bundle_id,
        "object": "model",
        "created": int(datetime.fromisoformat(manifest.created).timestamp()),
        "owned_by": "ear-teacher",
        "state": state,
        "space_id": model.space_id,
        "bundle_id": model.bundle_id,
        "runtime": model.runtime,
        "precision": model.precision,
        "preset": manifest.preset,
        "latent_dim": model.latent_dim,
        "parity": manifest.parity,
        "training": manifest.training,
        "eigenears": _eigenears(engine),
        "calibration": manifest.calibration,
    }


def _eigenears(engine: Engine) -> dict[str, Any] | None:
    if engine.eigenears is None:
        return None
    return {"count": engine.eigenears.count, "shares": engine.eigenears.shares}
