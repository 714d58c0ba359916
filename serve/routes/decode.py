"""POST /v1/decode: latents, or positions along the eigenears -> pictures."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from bundle.image import Picture, mirror, to_png
from index.errors import SpaceMismatch
from serve.errors import BadRequest, NotHere
from serve.http.json_body import floats, read_json
from serve.http.responses import Answer, data_uri
from serve.inference.engine import Engine, Vector
from serve.inference.orientation import Side, is_mirrored
from serve.observability.request_context import trace_of
from serve.routes.common import ERRORS, needs
from serve.service import attended, service_of

router = APIRouter(tags=["embed"], dependencies=[needs("embed")], responses=ERRORS)

MAX_LATENTS = 64
Numbers = Annotated[list[float], Field(max_length=65536)]


class DecodeRequest(BaseModel):
    """Exactly one of `latent`, `latents` and `eigenears`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    latent: Numbers | None = Field(None, description="a `mu`, as /v1/embed?include=mu gives it")
    latents: Annotated[list[Numbers], Field(min_length=1, max_length=MAX_LATENTS)] | None = None
    eigenears: Numbers | None = Field(None, description="standard deviations along the first eigenears; [] is the mean")
    space_id: str | None = Field(None, description="of the model that made the latents; another's are refused")
    side: Side = Field("unknown", description="right: the pictures are mirrored to show right ears")


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": DecodeRequest.model_json_schema()}},
    }
}
PICTURES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "a PNG, several latents side by side; with `Accept: application/json` a list of data URIs",
        "content": {"image/png": {}, "application/json": {}},
    }
}


@router.post("/v1/decode", openapi_extra=BODY, response_class=Response, responses=PICTURES)
async def decode(request: Request) -> Response:
    """Draw the ears of latents."""
    service, trace = service_of(request), trace_of(request)
    engine = service.use(request).engine
    asked = await read_json(request, DecodeRequest)
    space_id, bundle_id = engine.ids
    if asked.space_id not in (None, space_id):
        raise SpaceMismatch(space_id, str(asked.space_id))
    latents = _latents(engine, asked)
    engine.decoder.check_room(len(latents))
    pictures = await attended(request, engine.decode(trace, latents))
    turned = [mirror(picture) if is_mirrored(asked.side) else picture for picture in pictures]
    if "application/json" not in request.headers.get("accept", ""):
        png = await service.intake.draw(trace, lambda: to_png(strip(turned)))
        return Response(png, media_type="image/png")
    images = await service.intake.draw(trace, lambda: [data_uri(to_png(picture)) for picture in turned])
    body = {"images": images, "space_id": space_id, "bundle_id": bundle_id, "timing_ms": trace.timing_ms()}
    return Answer(body)


def strip(pictures: list[Picture]) -> Picture:
    """Pictures of one height, side by side."""
    return np.concatenate(pictures, axis=1)


def _latents(engine: Engine, asked: DecodeRequest) -> list[Vector]:
    given = [name for name in ("latent", "latents", "eigenears") if getattr(asked, name) is not None]
    if len(given) != 1:
        raise BadRequest(f"give exactly one of latent, latents and eigenears; given: {given or 'none'}", "latent")
    if asked.eigenears is not None:
        if engine.eigenears is None:
            raise NotHere("this bundle has no eigenears; export it with validation crops to get them")
        return [engine.eigenears.latent(asked.eigenears)]
    rows = asked.latents if asked.latents is not None else [asked.latent or []]
    for row in rows:
        if len(row) != engine.model.latent_dim:
            raise BadRequest(f"a latent has {len(row)} numbers; this model's have {engine.model.latent_dim}", given[0])
    return [floats(row) for row in rows]
