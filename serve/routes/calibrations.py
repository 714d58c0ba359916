"""/v1/calibrations: thresholds from the gallery's own labelled ears, by which /v1/verify decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from client import service_models as answers
from client.operations import CALIBRATE, CALIBRATIONS
from serve.http.responses import Answer
from serve.observability.request_context import trace_of
from serve.routes.common import received, serves
from serve.service import attended, service_of

if TYPE_CHECKING:
    from index.store.space_rows import StoredCalibration

router = APIRouter(tags=["models"])


@serves(router, CALIBRATE, "admin")
async def calibrate(request: Request) -> Answer:
    """Fit thresholds and probabilities on the gallery's labelled ears, and keep them in the place of those before.

    Every pair of one subject's left or right ear is genuine, every pair of different subjects' ears of a side is not;
    at least 20 subjects need two pictures of one ear (409 otherwise). `centred` takes the gallery's mean from every
    vector first, in later verifications too. Kept per space; a promotion makes the new space's anew.
    """
    options = (await received(request, CALIBRATE)).options
    service, trace = service_of(request), trace_of(request)
    active = service.use(request, options.get("space_id"))
    pool, space_id = active.required_pool, active.engine.ids[0]

    def job() -> StoredCalibration | None:
        pool.gallery.calibrate(space_id, options["centred"])
        return pool.gallery.calibration(space_id)

    kept = await attended(request, pool.run(trace, job))
    assert kept is not None, "it was just kept"
    made = described(kept)
    service.audit.note(request, "calibrate", space_id=space_id, subjects=made.subjects)
    return Answer(made, 201)


@serves(router, CALIBRATIONS, "admin")
async def calibrations(request: Request) -> Answer:
    """The calibrations that are kept, the active space's first."""
    await received(request, CALIBRATIONS)
    service = service_of(request)
    pool = service.use(request).required_pool
    spaces = dict.fromkeys(live.engine.ids[0] for live in service.loaded().all())
    kept = await pool.run(trace_of(request), lambda: [pool.gallery.calibration(space_id) for space_id in spaces])
    return Answer(answers.CalibrationList([described(one) for one in kept if one is not None]))


def described(kept: StoredCalibration) -> answers.Calibration:
    """A calibration that the gallery keeps, as it is answered."""
    fit, made_on = kept.document["calibration"], kept.document["calibrated_on"]
    return answers.Calibration(
        space_id=made_on["space_id"],
        created=kept.created,
        sequence=kept.sequence,
        calibrated_on=fit["calibrated_on"],
        centred=kept.document["centred"],
        **{name: made_on[name] for name in ("subjects", "ears", "without_subject", "without_side")},
        **{name: fit[name] for name in ("genuine_pairs", "impostor_pairs", "slope", "intercept")},
        points=[
            answers.OperatingPoint(**point, held_out_far=others["far"], held_out_tar=others["tar"])
            for point, others in zip(fit["points"], kept.document["held_out"], strict=True)
        ],
    )
