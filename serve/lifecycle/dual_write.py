"""During a promotion both spaces learn of every write: the vectors of an ear in the spaces of the other live models."""

from __future__ import annotations

import logging

from bundle.framing import Box
from index.items import Vectors
from serve.inference.decode_pool import DecodePool
from serve.inference.orientation import Side
from serve.lifecycle.model_registry import ModelRegistry, ServedModel
from serve.observability.request_context import Trace

log = logging.getLogger(__name__)


async def vectors_elsewhere(
    models: ModelRegistry | None,
    decode_pool: DecodePool,
    live: ServedModel,
    trace: Trace,
    file: bytes,
    side: Side,
    box: Box | None,
) -> dict[str, Vectors]:
    """space_id -> vectors of a picture, for every live space but that of `live`.

    A model that fails here is left out and must not keep an ear from being enrolled: what its space lacks is filled by
    the promotion, at the latest before that model is to answer.
    """
    found: dict[str, Vectors] = {}
    for other in models.others(live) if models is not None else []:
        try:
            crop = await decode_pool.crop(trace, file, side, box, other.engine.framing)
            (encoded,) = await other.engine.encode(trace, [crop])
        except Exception as error:
            log.warning("request %s: no vectors in space %s: %s", trace.request_id, other.engine.ids[0], error)
            continue
        found[other.engine.ids[0]] = Vectors(encoded.mu, encoded.embedding)
    return found
