"""POST /v1/reconstruct: a picture -> what the model makes of its ear, as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from bundle.image import Picture, mirror, to_png
from client.models import ReconstructedEar, Reconstruction
from client.operations import RECONSTRUCT
from serve.http.responses import Answer
from serve.inference.framed_ears import FramedEar, check_room, ears_asked_for, encoded_ears
from serve.inference.orientation import is_mirrored
from serve.observability.request_context import trace_of
from serve.routes.common import PNG, received, serves, wants_json
from serve.routes.decode import strip
from serve.service import attended, service_of

router = APIRouter(tags=["embed"])


@serves(router, RECONSTRUCT, "embed", responses={200: {"content": PNG}})
async def reconstruct(request: Request) -> Response:
    """Encode an ear and decode it again: what the latent kept of the picture.

    A PNG, with `detect=all` of every ear side by side; or JSON, where `format=json` or `Accept: application/json` asks:
    `psnr_db` and `ssim` compare the reconstruction with the framed input, both 128x128 and as posted.
    """
    asked = await received(request, RECONSTRUCT)
    options, service, trace = asked.options, service_of(request), trace_of(request)
    engine = service.use(request, options.get("space_id")).engine
    detect = options["detect"]
    check_room(engine, 1, detect)
    work = ears_asked_for(service.decode_pool, engine, trace, asked.picture(), options)
    framed = await attended(request, work)
    encoded = await attended(request, encoded_ears(engine, trace, framed.ears))
    decoded = await attended(request, engine.decode(trace, [one.mu for one in encoded]))
    pairs = list(zip(framed.ears, decoded, strict=True))
    if not wants_json(request, options.get("format")):
        png = await service.decode_pool.draw(trace, lambda: to_png(strip([_as_posted(*pair) for pair in pairs])))
        return Response(png, media_type="image/png", headers={"Server-Timing": f"total;dur={trace.elapsed_ms:.1f}"})
    drawn = await service.decode_pool.draw(trace, lambda: [_described(*pair) for pair in pairs])
    space_id, bundle_id = engine.ids
    every = [
        ReconstructedEar(**ear.place(), **one) for ear, one in zip(framed.ears, drawn, strict=True) if ear.detected
    ]
    return Answer(
        Reconstruction(
            **drawn[0],
            side=framed.first.side,
            space_id=space_id,
            bundle_id=bundle_id,
            timing_ms=trace.timing_ms(),
            ears=every if detect == "all" else None,
            **framed.detected(),
        )
    )


def _as_posted(ear: FramedEar, picture: Picture) -> Picture:
    return mirror(picture) if is_mirrored(ear.side) else np.ascontiguousarray(picture)


def _described(ear: FramedEar, decoded: Picture) -> dict[str, Any]:
    from measure.picture import psnr, ssim  # scipy takes long to import; the service starts without it

    return {
        "image": to_png(_as_posted(ear, decoded)),
        "input": to_png(_as_posted(ear, ear.crop)),
        "psnr_db": float(psnr(ear.crop, decoded)),
        "ssim": float(ssim(ear.crop, decoded)),
    }
