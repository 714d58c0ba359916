"""POST /v1/embed: a picture -> the 1024-D embedding of its ear, or of each of its ears."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request

from client.models import EmbeddedEar, Embedding
from client.operations import EMBED
from client.options import EmbedOptions
from serve.http.responses import Answer
from serve.inference.encoded import Encoded
from serve.inference.engine import Engine
from serve.inference.framed_ears import FramedEar, check_room, ears_asked_for, encoded_ears
from serve.inference.quality import assess
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import limits_of, received, serves
from serve.service import Service, attended, service_of

router = APIRouter(tags=["embed"])


@serves(router, EMBED, "embed")
async def embed(request: Request) -> Answer:
    """Embed the ear in a picture.

    `embedding` has length 1: compare two by their dot product (cosine). `include=mu` adds the latent that `/v1/decode`
    takes, `include=quality` how usable the picture is, `include=eigenears` where the ear lies along each eigenear, in
    standard deviations (absent where the bundle has none). Vectors are in left orientation: right ears are mirrored.

    `detect=true` takes a whole photo: its most certain ear is framed, its side predicted, and `box`, `score`, `side`
    and `side_probability` say what was found, `ears_found` of how many; `detect=all` adds each of them as `ears`.
    """
    asked = await received(request, EMBED)
    options, service, trace = asked.options, service_of(request), trace_of(request)
    engine = service.use(request, options.get("space_id")).engine
    check_room(engine, 1, options["detect"])
    limits = limits_of(options)
    work = ears_asked_for(service.decode_pool, engine, trace, asked.picture(), options, limits=limits)
    framed = await attended(request, work)
    encoded = await attended(request, encoded_ears(engine, trace, framed.ears))
    extras = await attended(request, _extras(service, engine, trace, framed.ears, encoded, options))
    space_id, bundle_id = engine.ids
    every = [
        EmbeddedEar(**ear.place(), embedding=one.embedding, **extra)
        for ear, one, extra in zip(framed.ears, encoded, extras, strict=True)
        if options["detect"] == "all"
    ]
    return Answer(
        Embedding(
            embedding=encoded[0].embedding,
            side=framed.first.side,
            space_id=space_id,
            bundle_id=bundle_id,
            timing_ms=trace.timing_ms(),
            ears=every or None,
            **framed.detected(),
            **extras[0],
        )
    )


async def _extras(
    service: Service,
    engine: Engine,
    trace: Trace,
    ears: Sequence[FramedEar],
    encoded: Sequence[Encoded],
    options: EmbedOptions,
) -> list[dict[str, Any]]:
    """What `include` asks for, of each ear."""
    include = options["include"]
    extras: list[dict[str, Any]] = [{} for _ in ears]
    for extra, one in zip(extras, encoded, strict=True):
        if "mu" in include:
            extra["mu"] = one.mu
        if "eigenears" in include and engine.eigenears is not None:
            extra["eigenears"] = engine.eigenears.coefficients(one.mu)
    if "quality" in include:
        decoded = await engine.decode(trace, [one.mu for one in encoded])
        crops = [ear.crop for ear in ears]
        for extra, crop, again, one in zip(extras, crops, decoded, encoded, strict=True):
            extra["quality"] = await service.decode_pool.run(
                trace, partial(assess, crop, again, engine.reference, engine.likeness(one))
            )
    return extras
