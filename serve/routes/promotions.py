"""/v1/promotions: replace the model under the live service. Stage, watch, activate, roll back, retire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath

from bundle.errors import BundleError
from client import service_models as answers
from client.operations import ACTIVATE, PROMOTE, PROMOTION, PROMOTIONS, RETIRE, ROLLBACK
from serve.errors import BadRequest, NotHere
from serve.http.responses import Answer
from serve.lifecycle.promotion import Promotions
from serve.lifecycle.promotion_record import PromotionRecord
from serve.observability.request_context import prefixed
from serve.routes.common import received, serves
from serve.service import service_of

router = APIRouter(tags=["promotions"])

PromotionId = Annotated[str, InPath(max_length=64, description="id of a promotion")]


@serves(router, PROMOTE, "admin")
async def start(request: Request) -> Answer:
    """Stage a bundle: it is loaded, proves itself, and the gallery is embedded anew beside the traffic."""
    promotions = _promotions(request)
    options = (await received(request, PROMOTE)).options
    try:
        record = await asyncio.to_thread(promotions.start, Path(options["bundle"]))
    except BundleError as error:
        raise BadRequest(f"this bundle cannot be promoted: {error}", "bundle") from None
    _note(request, "promote", record)
    return Answer(_shown(record), 202, {"Location": prefixed(f"/v1/promotions/{record.id}")})


@serves(router, PROMOTIONS, "admin")
async def promotions(request: Request) -> Answer:
    """All promotions, the oldest first."""
    await received(request, PROMOTIONS)
    return Answer(answers.PromotionList([_shown(record) for record in _promotions(request).all()]))


@serves(router, PROMOTION, "admin")
async def promotion(request: Request, promotion_id: PromotionId) -> Answer:
    """One promotion: its state, how far it is, its report."""
    await received(request, PROMOTION)
    return Answer(_shown(_promotions(request).get(promotion_id)))


@serves(router, ACTIVATE, "admin")
async def activate(request: Request, promotion_id: PromotionId) -> Answer:
    """Flip model, index and thresholds in one step. The old space goes on answering who names it."""
    force = (await received(request, ACTIVATE)).options["force"]
    record = await asyncio.to_thread(_promotions(request).activate, promotion_id, force)
    _note(request, "activate", record)
    return Answer(_shown(record))


@serves(router, ROLLBACK, "admin")
async def rollback(request: Request, promotion_id: PromotionId) -> Answer:
    """Let the old model answer again. Nothing is lost: both spaces received every write."""
    await received(request, ROLLBACK)
    record = await asyncio.to_thread(_promotions(request).rollback, promotion_id)
    _note(request, "rollback", record)
    return Answer(_shown(record))


@serves(router, RETIRE, "admin")
async def retire(request: Request, promotion_id: PromotionId) -> Answer:
    """End a promotion: unload the model that does not answer and delete its vectors."""
    await received(request, RETIRE)
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


def _shown(record: PromotionRecord) -> answers.Promotion:
    return answers.Promotion(**record.model_dump(mode="json"))


def _note(request: Request, action: str, record: PromotionRecord) -> None:
    service_of(request).audit.note(request, action, promotion=record.id, bundle_id=record.bundle_id)
