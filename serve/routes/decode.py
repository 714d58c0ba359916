"""POST /v1/decode: latents, or positions along the eigenears -> pictures."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from bundle.image import Picture, mirror, to_png
from client.models import DecodedLatents
from client.operations import DECODE
from client.options import DecodeOptions
from serve.errors import BadRequest, NotHere
from serve.http.responses import Answer
from serve.inference.engine import Engine, Vector
from serve.inference.orientation import is_mirrored
from serve.observability.request_context import trace_of
from serve.routes.common import PNG, received, serves, wants_json
from serve.service import attended, service_of

router = APIRouter(tags=["embed"])


@serves(router, DECODE, "embed", responses={200: {"content": PNG}})
async def decode(request: Request) -> Response:
    """Draw the ears of latents: a PNG, several side by side; or JSON with a picture for each."""
    asked = await received(request, DECODE)
    options, service, trace = asked.options, service_of(request), trace_of(request)
    engine = service.use(request, options.get("space_id")).engine
    latents = _latents(engine, options)
    engine.decoder.check_room(len(latents))
    pictures = await attended(request, engine.decode(trace, latents))
    turned = [mirror(picture) if is_mirrored(options["side"]) else picture for picture in pictures]
    if not wants_json(request, options.get("format")):
        png = await service.decode_pool.draw(trace, lambda: to_png(strip(turned)))
        return Response(png, media_type="image/png")
    images = await service.decode_pool.draw(trace, lambda: [to_png(picture) for picture in turned])
    return Answer(DecodedLatents(images, *engine.ids, trace.timing_ms()))


def strip(pictures: list[Picture]) -> Picture:
    """Pictures of one height, side by side."""
    return np.concatenate(pictures, axis=1)


def _latents(engine: Engine, options: DecodeOptions) -> list[Vector]:
    chosen = [name for name in ("latent", "latents", "eigenears") if name in options]
    if len(chosen) != 1:
        raise BadRequest(f"give exactly one of latent, latents and eigenears; given: {chosen or 'none'}", "latent")
    if "eigenears" in options:
        if engine.eigenears is None:
            raise NotHere("this bundle has no eigenears; export it with validation crops to get them")
        return [engine.eigenears.latent(list(options["eigenears"]))]
    rows = list(options["latents"]) if "latents" in options else [options["latent"]]
    for row in rows:
        if len(row) != engine.model.latent_dim:
            raise BadRequest(f"a latent has {len(row)} numbers; this model's have {engine.model.latent_dim}", chosen[0])
    return rows
