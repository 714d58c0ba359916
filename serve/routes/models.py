"""GET /v1/models: which models answer here, what they are and how true they are to their training."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request

from serve.answers import Answer
from serve.engine import Engine
from serve.errors import NotHere
from serve.routes.common import ERRORS, needs
from serve.service import service_of

router = APIRouter(tags=["models"], dependencies=[needs("embed")], responses=ERRORS)


@router.get("/v1/models", response_class=Answer)
async def models(request: Request) -> Answer:
    """The models that this service holds."""
    active = service_of(request).use(request)
    return Answer({"object": "list", "data": [described(active.engine, "active")]})


@router.get("/v1/models/{model_id}", response_class=Answer)
async def model(request: Request, model_id: str) -> Answer:
    """One model, by its bundle_id."""
    active = service_of(request).use(request)
    if model_id != active.engine.ids[1]:
        raise NotHere(f"no model {model_id[:80]!r}; there is {active.engine.ids[1]!r}")
    return Answer(described(active.engine, "active"))


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
