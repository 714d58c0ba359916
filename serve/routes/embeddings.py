"""POST /v1/embeddings: pictures -> embeddings, as OpenAI's clients ask and read it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request

from bundle.errors import ImageError
from client.models import EmbeddingList, EmbeddingRow, Usage
from client.operations import EMBEDDINGS
from client.options import EmbeddingsOptions
from serve.errors import BadRequest
from serve.http.image_inputs import Remote, Source, picture_sources
from serve.http.responses import Answer, base64_floats
from serve.inference.engine import Engine
from serve.inference.framed_ears import FramedEars, check_room, ears_asked_for, encoded_ears
from serve.inference.together import together
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import received, serves
from serve.service import Service, attended, service_of

router = APIRouter(tags=["embed"])

Placed = tuple[str, Source]
"""(where in the request, the picture)"""


@serves(router, EMBEDDINGS, "embed")
@serves(router, EMBEDDINGS, "embed", path="/v1/multimodalembeddings", include_in_schema=False)
@serves(router, EMBEDDINGS, "embed", path="/embeddings", include_in_schema=False)
async def embeddings(request: Request) -> Answer:
    """Embed pictures (OpenAI-compatible).

    `model` is a bundle_id or space_id of a loaded model, or an alias of the active one (`ear-teacher`); the answer's is
    the bundle_id of the model that answered. `side`, `box` and `detect` are extensions, and hold for every picture;
    with `detect=all` a picture has a vector for each of its ears, and `input` says which picture a vector is of.
    """
    asked = await received(request, EMBEDDINGS)
    options, service, trace = asked.options, service_of(request), trace_of(request)
    engine = service.use(request, model=options.get("model")).engine
    _check(options, engine.model.latent_dim)
    sources = _sources(options, asked.pictures.get("input", []))
    if len(sources) > service.settings.max_inputs:
        raise BadRequest(f"{len(sources)} pictures in one request; at most {service.settings.max_inputs}", "input")
    if not asked.pictures:  # a form's files were counted as they were read
        service.rates.count_more(request, len(sources) - 1)
    check_room(engine, len(sources), options["detect"])
    framed = await attended(request, _framed(service, engine, trace, sources, options))
    ears = [ear for picture in framed for ear in picture.ears]
    encoded = await attended(request, encoded_ears(engine, trace, ears))
    space_id, bundle_id = engine.ids
    packed = "base64" in [options.get(name) for name in ("encoding_format", "embedding_type", "output_encoding")]
    places = [place for number, picture in enumerate(framed) for place in _places(number, picture, options)]
    rows = [
        EmbeddingRow(
            object="embedding",
            index=index,
            embedding=base64_floats(one.embedding) if packed else one.embedding,
            **place,
        )
        for index, (one, place) in enumerate(zip(encoded, places, strict=True))
    ]
    answer = EmbeddingList(
        object="list",
        data=rows,
        id=f"embd-{trace.request_id}",
        created=int(time.time()),
        model=bundle_id,
        space_id=space_id,
        bundle_id=bundle_id,
        usage=Usage(),
    )
    return Answer(answer)


def _check(options: EmbeddingsOptions, dim: int) -> None:
    for name in ("dimensions", "output_dimension"):
        if (width := options.get(name, 0)) not in (0, dim):  # infinity's clients say 0 where they ask for all
            raise BadRequest(f"{name} is {width}; this model has {dim} and no shorter ones", name)
    if options["modality"] != "image":
        raise BadRequest(f"modality is {options['modality']!r}; only 'image' is served", "modality")
    if options.get("normalized") is False:
        raise BadRequest("normalized is false; vectors have length 1 here, always", "normalized")


def _sources(options: EmbeddingsOptions, files: Sequence[bytes]) -> list[Placed]:
    """The pictures: a form's files, or what JSON holds."""
    written = {name: options.get(name) for name in ("input", "inputs", "images", "messages")}
    if files and not any(written.values()):
        return [(f"input[{number}]", file) for number, file in enumerate(files)]
    return picture_sources(written)


async def _framed(
    service: Service, engine: Engine, trace: Trace, sources: Sequence[Placed], options: EmbeddingsOptions
) -> list[FramedEars]:
    return await together(_picture(service, engine, trace, place, options) for place in sources)


async def _picture(
    service: Service, engine: Engine, trace: Trace, place: Placed, options: EmbeddingsOptions
) -> FramedEars:
    where, source = place
    try:
        file = await service.fetcher.fetch(source.url) if isinstance(source, Remote) else source
        return await ears_asked_for(service.decode_pool, engine, trace, file, options)
    except ImageError as error:
        raise type(error)(f"{where}: {error}") from None
    except BadRequest as error:
        raise BadRequest(f"{where} {error}", error.param or where) from None


def _places(number: int, picture: FramedEars, options: EmbeddingsOptions) -> list[dict[str, Any]]:
    """What is said beside the vector of each ear of a picture."""
    if not options["detect"]:
        return [picture.first.guessed()]
    of_input = {"input": number} if options["detect"] == "all" else {}
    return [{**ear.place(), "ears_found": picture.found, **of_input} for ear in picture.ears]
