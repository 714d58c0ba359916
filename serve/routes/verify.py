"""POST /v1/verify: two pictures -> are they one ear?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request

from bundle.errors import ImageError
from bundle.image import Picture, mirror
from client.models import DetectedEar, Verdict
from client.operations import VERIFY
from client.options import Side, VerifyOptions
from serve.errors import BadRequest
from serve.http.responses import Answer
from serve.inference.engine import Engine, Vector
from serve.inference.framed_ears import FramedEar, FramedEars, check_room, framed_ears
from serve.inference.together import together
from serve.inference.verification import best_pair, compared, judge
from serve.observability.request_context import Trace, trace_of
from serve.routes.common import Received, received, serves
from serve.service import Service, attended, service_of

router = APIRouter(tags=["search"])


@serves(router, VERIFY, "embed")
async def verify(request: Request) -> Answer:
    """Compare two ears: similarity, the probability that they are one, and a decision at a stated false-accept rate.

    Probability and decision come from the bundle's calibration and are null where it has none. Where a side is unknown,
    both orientations are compared and the better one counts: the answer's `far` is then twice the rate asked for, an
    upper bound, and `probability` and `tar` are lower bounds. `detect=true` takes photos and compares their most
    certain ears, `detect=all` all of one with all of the other: the best pair counts, and `far` grows with the pairs.
    """
    asked = await received(request, VERIFY)
    options, service, trace = asked.options, service_of(request), trace_of(request)
    active = service.use(request, options.get("space_id"))
    check_room(active.engine, 2, options["detect"])
    first, second = await attended(request, _framed(service, active.engine, trace, asked))
    similarity, comparisons, best = await attended(request, _compared(active.engine, trace, first, second))
    verdict = judge(similarity, active.calibration, options["far"], comparisons)
    space_id, bundle_id = active.engine.ids
    detected: dict[str, Any] = {}
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
            **dataclasses.asdict(verdict),
            **detected,
        )
    )


async def _framed(
    service: Service, engine: Engine, trace: Trace, asked: Received[VerifyOptions]
) -> tuple[FramedEars, FramedEars]:
    """The ears of both pictures."""
    options = asked.options

    async def framed(name: str, side: Side, box: Any) -> FramedEars:
        data = asked.picture(name)
        try:
            return await framed_ears(service.decode_pool, engine, trace, data, side, box, options["detect"])
        except ImageError as error:
            raise type(error)(f"{name}: {error}") from None
        except BadRequest as error:
            raise BadRequest(f"{name}: {error}", error.param or name) from None

    first = framed("a", options["side_a"], options.get("box_a"))
    second = framed("b", options["side_b"], options.get("box_b"))
    one, other = await together((first, second))
    return one, other


async def _compared(
    engine: Engine, trace: Trace, first: FramedEars, second: FramedEars
) -> tuple[float, int, tuple[FramedEar, FramedEar]]:
    """The best similarity, of how many comparisons it is the best, and of which two ears it is."""
    turn_first, turn_second = compared(first.first.side, second.first.side)
    left, right = _orientations(first.ears, len(turn_first) > 1), _orientations(second.ears, len(turn_second) > 1)
    vectors: list[Vector] = [one.embedding for one in await engine.encode(trace, [crop for _, crop in left + right])]
    similarity, a, b = best_pair(vectors[: len(left)], vectors[len(left) :])
    return similarity, len(left) * len(right), (left[a][0], right[b][0])


def _orientations(ears: Sequence[FramedEar], turned: bool) -> list[tuple[FramedEar, Picture]]:
    """Each ear as it is framed, and mirrored where its side is unknown and the other picture is not turned already."""
    shown = [(ear, ear.crop) for ear in ears]
    return shown + [(ear, mirror(ear.crop)) for ear in ears if turned and ear.side == "unknown"]
