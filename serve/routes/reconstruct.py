"""POST /v1/reconstruct: one picture -> what the model makes of it, as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from bundle.image import mirror, to_png
from serve.http.multipart import parse_box, read_upload
from serve.http.responses import Answer, data_uri
from serve.inference.orientation import is_mirrored
from serve.observability.request_context import trace_of
from serve.routes.common import ERRORS, PICTURE_BODY, BoxParam, SideParam, needs
from serve.service import attended, service_of

router = APIRouter(tags=["embed"], dependencies=[needs("embed")], responses=ERRORS)

PNG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the reconstruction: a PNG, or JSON with PSNR and SSIM where `Accept: application/json` asks",
        "content": {"image/png": {}, "application/json": {}},
    }
}


@router.post("/v1/reconstruct", openapi_extra=PICTURE_BODY, response_class=Response, responses=PNG)
async def reconstruct(request: Request, side: SideParam = "unknown", box: BoxParam = None) -> Response:
    """Encode an ear and decode it again: what the latent kept of the picture.

    `psnr_db` and `ssim` compare the reconstruction with the framed input, both 128x128 and as posted.
    """
    service, trace = service_of(request), trace_of(request)
    active = service.use(request)
    engine = active.engine
    engine.encoder.check_room()
    ear_box = parse_box(box)
    upload = await read_upload(request)
    framed = service.intake.crop(trace, upload.data, side, ear_box, engine.framing)
    crop = await attended(request, framed)
    (encoded,) = await attended(request, engine.encode(trace, [crop]))
    (decoded,) = await attended(request, engine.decode(trace, [encoded.mu]))
    back = mirror if is_mirrored(side) else np.ascontiguousarray
    if "application/json" not in request.headers.get("accept", ""):
        png = await service.intake.draw(trace, lambda: to_png(back(decoded)))
        return Response(png, media_type="image/png", headers={"Server-Timing": f"total;dur={trace.elapsed_ms:.1f}"})
    space_id, bundle_id = engine.ids

    def describe() -> dict[str, object]:
        from measure.picture import psnr, ssim  # scipy takes long to import; the service starts without it

        return {
            "image": data_uri(to_png(back(decoded))),
            "input": data_uri(to_png(back(crop))),
            "psnr_db": float(psnr(crop, decoded)),
            "ssim": float(ssim(crop, decoded)),
        }

    body = await service.intake.draw(trace, describe)
    return Answer({**body, "space_id": space_id, "bundle_id": bundle_id, "timing_ms": trace.timing_ms()})
