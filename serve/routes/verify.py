"""POST /v1/verify: two pictures -> are they one ear?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from bundle.errors import ImageError
from bundle.image import mirror
from client.models import DetectedEar, Verdict
from client.operations import VERIFY
from client.options import Side, VerifyOptions
from index.vectors import centred
from serve.errors import BadRequest
from serve.http.responses import Answer
from serve.inference.engine import Engine, Vector
from serve.inference.framed_ears import FramedEar, FramedEars, check_room, encoded_ears, framed_ears
from serve.inference.together import together
from serve.inference.verification import Evidence, best_pair, compared, judge, of_bundle
from serve.lifecycle.model_registry import ServedModel
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import Received, limits_of, received, serves
from serve.service import Service, attended, service_of

router = APIRouter(tags=["search"])


@serves(router, VERIFY, "embed")
async def verify(request: Request) -> Answer:
    """Compare two ears: similarity, the probability that they are one, and a decision at a stated false-accept rate.

    A verdict (`same`) is given by the gallery's own calibration (`POST /v1/calibrations`) at the false-accept rate
    `far`, or by a `threshold` of the caller's own. Else it is null and `reason` says why: the bundle's calibration
    gives a `probability`, but on the pictures that `calibrated_on` names, which need not be like these. Where a side is
    unknown, the one in which the encoder is surer of the ear is taken (`side_probabilities`); where the bundle does not
    tell that, both orientations are compared and the better one counts: the answer's `far` is then twice the rate asked
    for, an upper bound, and `probability` and `tar` are lower bounds. `detect=true` takes photos and compares their
    most certain ears, `detect=all` all of one with all of the other: the best pair counts, and `far` grows with them.
    """
    asked = await received(request, VERIFY)
    options, service, trace = asked.options, service_of(request), trace_of(request)
    if "far" in options and "threshold" in options:
        raise BadRequest("give far (a rate) or threshold (a similarity): each of them decides", "threshold")
    active = service.use(request, options.get("space_id"))
    check_room(active.engine, 2, options["detect"])
    first, second = await attended(request, _framed(service, active.engine, trace, asked))
    evidence = await _evidence(active, trace)
    mean = await _mean(active, trace, options.get("centred"), evidence)
    if evidence is not None and options.get("centred", mean is not None) != (evidence.mean is not None):
        evidence = None  # it is of other similarities
    similarity, comparisons, best = await attended(request, _compared(active.engine, trace, first, second, mean))
    verdict = judge(similarity, evidence, options.get("far"), options.get("threshold"), comparisons)
    space_id, bundle_id = active.engine.ids
    detected: dict[str, Any] = {}
    if any(ear.guess is not None for ear in best):
        detected = {"side_probabilities": [ear.guessed().get("side_probability") for ear in best]}
    if options["detect"]:
        detected = {
            "detected": [DetectedEar(**ear.place()) for ear in best],
            "ears_found": [first.found, second.found],
        }
    return Answer(
        Verdict(
            similarity=round(similarity, 6),
            sides=[ear.side for ear in best],
            space_id=space_id,
            bundle_id=bundle_id,
            timing_ms=trace.timing_ms(),
            **{**dataclasses.asdict(verdict), "centred": mean is not None},
            **detected,
        )
    )


async def _evidence(active: ServedModel, trace: Trace) -> Evidence | None:
    """The gallery's own calibration, else the bundle's, else None."""
    own = await active.gallery_pool.evidence(trace, active.engine.ids[0]) if active.gallery_pool is not None else None
    return own or of_bundle(active.calibration)


async def _mean(active: ServedModel, trace: Trace, asked: bool | None, evidence: Evidence | None) -> Vector | None:
    """What is taken from every vector: as the request, or else the calibration, asks for. Raises TooFewToCentre."""
    if asked is None:
        return None if evidence is None else evidence.mean
    return await active.required_pool.centre(trace, active.engine.ids[0], asked) if asked else None


async def _framed(
    service: Service, engine: Engine, trace: Trace, asked: Received[VerifyOptions]
) -> tuple[FramedEars, FramedEars]:
    """The ears of both pictures."""
    options = asked.options

    async def framed(name: str, side: Side, box: Any) -> FramedEars:
        data = asked.picture(name)
        try:
            detect, limits = options["detect"], limits_of(options)
            return await framed_ears(
                service.decode_pool, engine, trace, data, side, box, detect, limits=limits, tiles=options["tiles"]
            )
        except ImageError as error:
            raise type(error)(f"{name}: {error}") from None
        except BadRequest as error:
            raise type(error)(f"{name}: {error}", error.param or name) from None

    first = framed("a", options["side_a"], options.get("box_a"))
    second = framed("b", options["side_b"], options.get("box_b"))
    one, other = await together((first, second))
    return one, other


async def _compared(
    engine: Engine, trace: Trace, first: FramedEars, second: FramedEars, mean: Vector | None
) -> tuple[float, int, tuple[FramedEar, FramedEar]]:
    """The best similarity, of how many comparisons it is the best, and of which two ears it is.

    mean: what is taken from every vector first.
    """
    turn_first, turn_second = compared(first.first.side, second.first.side)
    left, right = _orientations(first.ears, len(turn_first) > 1), _orientations(second.ears, len(turn_second) > 1)
    vectors: list[Vector] = [one.embedding for one in await encoded_ears(engine, trace, left + right)]
    if mean is not None:
        vectors = list(centred(np.stack(vectors), mean))
    similarity, a, b = best_pair(vectors[: len(left)], vectors[len(left) :])
    return similarity, len(left) * len(right), (left[a], right[b])


def _orientations(ears: Sequence[FramedEar], turned: bool) -> list[FramedEar]:
    """Each ear as it is framed, and mirrored where its side is unknown and the other picture is not turned already."""
    mirrored = [dataclasses.replace(ear, crop=mirror(ear.crop), encoded=None) for ear in ears if ear.side == "unknown"]
    return [*ears, *(mirrored if turned else [])]
