"""POST /v1/embeddings: pictures -> embeddings, as OpenAI's clients ask and read it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from bundle.errors import ImageError
from bundle.framing import Framing
from bundle.image import Picture
from serve.errors import BadRequest
from serve.http.image_inputs import Remote, Source, picture_sources
from serve.http.json_body import read_json
from serve.http.responses import Answer, base64_floats
from serve.inference.orientation import Side
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import ERRORS, needs
from serve.service import Service, attended, service_of

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
    embedding_type: Literal["float", "base64"] | None = Field(None, description="Jina's name of encoding_format")
    output_encoding: Literal["base64"] | None = Field(None, description="Voyage's name of encoding_format")
    dimensions: int | None = None
    output_dimension: int | None = Field(None, description="Voyage's name of dimensions")
    user: str | None = None
    side: Side = "unknown"


USAGE = {"prompt_tokens": 0, "total_tokens": 0, "text_tokens": 0, "image_pixels": 0, "video_pixels": 0}
"""OpenAI's, Jina's and Voyage's names: pictures cost no tokens here."""
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": EmbeddingsRequest.model_json_schema()}},
    }
}


@router.post("/v1/embeddings", openapi_extra=BODY, response_class=Answer)
@router.post("/v1/multimodalembeddings", openapi_extra=BODY, response_class=Answer, include_in_schema=False)
@router.post("/embeddings", openapi_extra=BODY, response_class=Answer, include_in_schema=False)
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
    framing = active.engine.framing
    crops = await attended(request, _crops(service, trace, framing, sources, asked.side))
    encoded = await attended(request, active.engine.encode(trace, crops))
    packed = "base64" in (asked.encoding_format, asked.embedding_type, asked.output_encoding)
    data = [
        {"object": "embedding", "index": n, "embedding": base64_floats(one.embedding) if packed else one.embedding}
        for n, one in enumerate(encoded)
    ]
    head = {"id": f"embd-{trace.request_id}", "created": int(time.time()), "model": asked.model or active.engine.ids[1]}
    return Answer({"object": "list", "data": data, **head, "usage": USAGE})


def _check(asked: EmbeddingsRequest, dim: int) -> None:
    for name in ("dimensions", "output_dimension"):
        if (given := getattr(asked, name)) not in (None, 0, dim):  # infinity's clients say 0 where they ask for all
            raise BadRequest(f"{name} is {given}; this model has {dim} and no shorter ones", name)
    if asked.modality not in (None, "image"):
        raise BadRequest(f"modality is {asked.modality!r}; only 'image' is served", "modality")


async def _crops(
    service: Service, trace: Trace, framing: Framing, sources: Sequence[tuple[str, Source]], side: Side
) -> list[Picture]:
    return await asyncio.gather(*(_crop(service, trace, framing, place, side) for place in sources))


async def _crop(service: Service, trace: Trace, framing: Framing, place: tuple[str, Source], side: Side) -> Picture:
    where, source = place
    try:
        file = await service.fetcher.fetch(source.url) if isinstance(source, Remote) else source
        return await service.intake.crop(trace, file, side, None, framing)
    except ImageError as error:
        raise type(error)(f"{where}: {error}") from None
    except BadRequest as error:
        raise BadRequest(f"{where} {error}", where) from None
