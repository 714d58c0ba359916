"""POST /v1/embeddings: pictures -> embeddings, as OpenAI's clients ask and read it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from bundle.errors import ImageError
from bundle.image import Picture
from serve.answers import Answer, base64_floats
from serve.bodies import read_json
from serve.errors import BadRequest
from serve.image_inputs import Remote, Source, picture_sources
from serve.orientation import Side
from serve.routes.common import ERRORS, needs
from serve.service import Service, attended, service_of
from serve.trace import Trace, trace_of

router = APIRouter(tags=["embed"], dependencies=[needs("embed")], responses=ERRORS)


class EmbeddingsRequest(BaseModel):
    """What OpenAI-compatible clients send; exactly one of input, inputs, images and messages."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    input: Any = Field(None, description="a picture or a list of pictures: data URI, base64, {'image': …}, image_url …")
    inputs: Any = None
    images: Any = None
    messages: Any = None
    modality: str | None = "image"
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None
    side: Side = "unknown"


BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": EmbeddingsRequest.model_json_schema()}},
    }
}


@router.post("/v1/embeddings", openapi_extra=BODY, response_class=Answer)
async def embeddings(request: Request) -> Answer:
    """Embed pictures (OpenAI-compatible). `side` (an extension) says which ear they all show."""
    service, trace = service_of(request), trace_of(request)
    active = service.use(request)
    asked = await read_json(request, EmbeddingsRequest)
    dim = active.engine.model.latent_dim
    _check(asked, dim)
    sources = picture_sources(asked.model_dump(include={"input", "inputs", "images", "messages"}))
    if len(sources) > service.settings.max_inputs:
        raise BadRequest(f"{len(sources)} pictures in one request; at most {service.settings.max_inputs}", "input")
    active.engine.encoder.check_room(len(sources))
    crops = await asyncio.gather(*(_crop(service, trace, where, source, asked.side) for where, source in sources))
    encoded = await attended(request, active.engine.encode(trace, crops))
    as_asked = base64_floats if asked.encoding_format == "base64" else (lambda vector: vector)
    data = [
        {"object": "embedding", "index": index, "embedding": as_asked(one.embedding)}
        for index, one in enumerate(encoded)
    ]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    model = asked.model or active.engine.ids[1]
    envelope = {"id": f"embd-{trace.request_id}", "created": int(time.time()), "model": model, "usage": usage}
    return Answer({"object": "list", "data": data, **envelope})


def _check(asked: EmbeddingsRequest, dim: int) -> None:
    if asked.dimensions not in (None, dim):
        raise BadRequest(f"dimensions is {asked.dimensions}; this model has {dim} and no shorter ones", "dimensions")
    if asked.modality not in (None, "image"):
        raise BadRequest(f"modality is {asked.modality!r}; only 'image' is served", "modality")


async def _crop(service: Service, trace: Trace, where: str, source: Source, side: Side) -> Picture:
    active = service.active
    assert active is not None
    if isinstance(source, Remote):
        raise BadRequest(f"{where} is a URL; this service fetches none: send the picture itself (data URI)", where)
    try:
        return await service.intake.crop(trace, source, side, None, active.engine.framing)
    except ImageError as error:
        raise type(error)(f"{where}: {error}") from None
