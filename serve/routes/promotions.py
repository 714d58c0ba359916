"""/v1/promotions: replace the model under the live service. Stage, watch, activate, roll back, retire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field

from bundle.errors import BundleError
from serve.errors import BadRequest, NotHere
from serve.http.json_body import read_json
from serve.http.responses import Answer
from serve.lifecycle.promotion import Promotions
from serve.lifecycle.promotion_record import PromotionRecord
from serve.routes.common import ERRORS, json_body, needs
from serve.service import service_of

router = APIRouter(tags=["promotions"], dependencies=[needs("admin")], responses=ERRORS)

PromotionId = Annotated[str, InPath(max_length=64, description="id of a promotion")]


class StartRequest(BaseModel):
    """A bundle to promote."""

    model_config = ConfigDict(extra="forbid")

    bundle: str = Field(min_length=1, max_length=4096, description="folder of the new bundle, on the service's machine")


class ActivateRequest(BaseModel):
    """How to activate."""

    model_config = ConfigDict(extra="forbid")

    force: bool = Field(False, description="activate although the report speaks against it")


@router.post("/v1/promotions", status_code=202, openapi_extra=json_body(StartRequest), response_class=Answer)
async def start(request: Request) -> Answer:
    """Stage a bundle: it is loaded, proves itself, and the gallery is embedded anew beside the traffic."""
    promotions = _promotions(request)
    asked = await read_json(request, StartRequest)
    try:
        record = await asyncio.to_thread(promotions.start, Path(asked.bundle))
    except BundleError as error:
        raise BadRequest(f"this bundle cannot be promoted: {error}", "bundle") from None
    _note(request, "promote", record)
    return Answer(_shown(record), 202, {"Location": f"/v1/promotions/{record.id}"})


@router.get("/v1/promotions", response_class=Answer)
async def promotions(request: Request) -> Answer:
    """All promotions, the oldest first."""
    return Answer({"promotions": [_shown(record) for record in _promotions(request).all()]})


@router.get("/v1/promotions/{promotion_id}", response_class=Answer)
async def promotion(request: Request, promotion_id: PromotionId) -> Answer:
    """One promotion: its state, how far it is, its report."""
    return Answer(_shown(_promotions(request).get(promotion_id)))


@router.post(
    "/v1/promotions/{promotion_id}/activate",
    openapi_extra=json_body(ActivateRequest, required=False),
    response_class=Answer,
)
async def activate(request: Request, promotion_id: PromotionId) -> Answer:
    """Flip model, index and thresholds in one step. The old space goes on answering who names it."""
    force = (await read_json(request, ActivateRequest)).force if await request.body() else False
    record = await asyncio.to_thread(_promotions(request).activate, promotion_id, force)
    _note(request, "activate", record)
    return Answer(_shown(record))


@router.post("/v1/promotions/{promotion_id}/rollback", response_class=Answer)
async def rollback(request: Request, promotion_id: PromotionId) -> Answer:
    """Let the old model answer again. Nothing is lost: both spaces received every write."""
    record = await asyncio.to_thread(_promotions(request).rollback, promotion_id)
    _note(request, "rollback", record)
    return Answer(_shown(record))


@router.post("/v1/promotions/{promotion_id}/retire", response_class=Answer)
async def retire(request: Request, promotion_id: PromotionId) -> Answer:
    """End a promotion: unload the model that does not answer and delete its vectors."""
    record = await asyncio.to_thread(_promotions(request).retire, promotion_id)
    _note(request, "retire", record)
    return Answer(_shown(record))


def _promotions(request: Request) -> Promotions:
    service = service_of(request)
    service.loaded()  # not `use`: a request that ends a promotion must not wait for itself
    if service.settings.database_url is not None:
        raise NotHere("a gallery that several processes share is not promoted from one of them: docs/scale.md says how")
    if service.promotions is None:
        raise NotHere("this service was started without a gallery; there is nothing to promote")
    return service.promotions


def _shown(record: PromotionRecord) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _note(request: Request, action: str, record: PromotionRecord) -> None:
    service_of(request).audit.note(request, action, promotion=record.id, bundle_id=record.bundle_id)
