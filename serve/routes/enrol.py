"""POST /v1/gallery/items and /v1/gallery/items/batch: pictures -> ears that the gallery keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from client import gallery_models as answers
from client.gallery_options import EnrolManyOptions, LabelOptions, PictureLabels
from client.operations import ENROL, ENROL_MANY
from index.errors import DuplicateItem
from index.items import NewItem, content_hash
from serve.errors import BadRequest, message_of, problem_of
from serve.http.openapi import answer_model
from serve.http.parameters import checked
from serve.http.responses import Answer
from serve.inference.encoded import Encoded
from serve.inference.framed_ears import FramedEar, FramedEars, check_room, ears_asked_for, encoded_ears, framed_ears
from serve.inference.orientation import stored_side
from serve.inference.together import together
from serve.lifecycle.dual_write import vectors_elsewhere
from serve.lifecycle.model_registry import ServedModel
from serve.observability.request_context import Trace, prefixed, trace_of
from serve.routes.common import Received, limits_of, received, serves
from serve.routes.items import described
from serve.service import Service, attended, service_of

if TYPE_CHECKING:
    from index.gallery import Outcome

router = APIRouter(tags=["gallery"])

THERE = {200: {"description": "on_duplicate=return: it was enrolled already", "model": answer_model(answers.Enrolled)}}


@serves(router, ENROL, "write", responses=THERE)
async def enrol(request: Request) -> Answer:
    """Enrol an ear. It is durable and can be found when this answers.

    `detect=true` takes a photo and enrols its most certain ear (of `side`, where that is given); `detect=all` enrols
    every one, with these labels, and answers `items`. 200 where `on_duplicate=return` found all of it enrolled.
    """
    asked = await received(request, ENROL)
    options, service, trace = asked.options, service_of(request), trace_of(request)
    active = service.use(request)
    pool, engine, detect = active.required_pool, active.engine, options["detect"]
    check_room(engine, 1, detect)
    data = asked.picture()
    work = ears_asked_for(service.decode_pool, engine, trace, data, options, keep=True, limits=limits_of(options))
    framed = await attended(request, work)
    encoded = await attended(request, encoded_ears(engine, trace, framed.ears))
    new = [
        await new_item(service, active, trace, data, ear, one, options)
        for ear, one in zip(framed.ears, encoded, strict=True)
    ]
    outcomes = await pool.run(trace, lambda: pool.gallery.enrol_once(new, engine.ids[0], options["on_duplicate"]))
    _note(request, outcomes)
    items = [outcome.item for outcome in outcomes]
    detected = framed.detected()
    detected.pop("box", None)  # the item has that of its stored picture
    every = [described(item) for item in items] if detect == "all" else None
    taken_as = framed.first.guessed().get("side")
    answer = answers.Enrolled(**vars(described(items[0], engine.ids[0])), items=every, taken_as=taken_as, **detected)
    return Answer(answer, _status(outcomes), {"Location": prefixed(f"/v1/gallery/items/{items[0].id}")})


async def new_item(
    service: Service,
    active: ServedModel,
    trace: Trace,
    data: bytes,
    ear: FramedEar,
    encoded: Encoded,
    labels: LabelOptions,
) -> NewItem:
    """What the gallery keeps of an ear that was framed with keep=True, with its vectors in every live space."""
    assert ear.stored is not None, "framed with keep=True"
    elsewhere = await vectors_elsewhere(service.models, service.decode_pool, active, trace, data, ear.side, ear.box)
    return NewItem(
        crop=ear.stored.file,
        mu=encoded.mu,
        embedding=encoded.embedding,
        subject=labels.get("subject"),
        side=stored_side(ear.told_side),
        tags=tuple(labels["tags"]),
        source=labels.get("source"),
        box=ear.stored.box,
        also=elsewhere,
        # By the posted file, as imports do: what was enrolled here is known to an import of the same picture.
        sha256=content_hash(data, ear.box),
    )


@serves(router, ENROL_MANY, "write")
async def enrol_many(request: Request) -> Answer:
    """Enrol several pictures of one form (`files`), each with its own labels and its own status.

    `labels` is a JSON list with an object for each picture, in order: subject, side, tags, source, box. A picture that
    cannot be enrolled has the status and the error that it would have alone, and stops no other. What is enrolled is
    durable, all of it at once, when this answers.
    """
    asked = await received(request, ENROL_MANY)
    service, trace = service_of(request), trace_of(request)
    files, labels = _labelled(asked, service.settings.max_inputs)
    active = service.use(request)
    pool, engine, on_duplicate = active.required_pool, active.engine, asked.options["on_duplicate"]
    check_room(engine, len(files), asked.options["detect"])
    pairs = list(zip(files, labels, strict=True))
    work = together(_framed(service, active, trace, file, one, asked.options) for file, one in pairs)
    framed = await attended(request, work)
    ears = [ear for picture in framed if isinstance(picture, FramedEars) for ear in picture.ears]
    encoded = iter(await attended(request, encoded_ears(engine, trace, ears)))
    made = [
        await _made(service, active, trace, file, picture, encoded, one)
        for (file, one), picture in zip(pairs, framed, strict=True)
    ]
    new = [item for items in made if isinstance(items, list) for item in items]
    once = "return" if on_duplicate == "reject" else on_duplicate  # each picture is refused by itself
    outcomes = iter(await pool.run(trace, lambda: pool.gallery.enrol_once(new, engine.ids[0], once)))
    results = []
    for number, (items, picture) in enumerate(zip(made, framed, strict=True)):
        if isinstance(items, Exception):
            results.append(_refused(items))
            continue
        own = [next(outcomes) for _ in items]
        _note(request, own)
        if on_duplicate == "reject" and _status(own) == 200:
            results.append(_refused(DuplicateItem(number, own[0].item.id)))
        else:
            stored = [described(outcome.item) for outcome in own]
            detection = picture.found if isinstance(picture, FramedEars) else None
            results.append(answers.EnrolledPicture(_status(own), stored, detection))
    space_id, bundle_id = engine.ids
    statuses = [one.status for one in results]
    enrolled, repeated = statuses.count(201), statuses.count(200)
    failed = len(results) - enrolled - repeated
    timing_ms = trace.timing_ms("index")
    return Answer(answers.EnrolledMany(results, enrolled, repeated, failed, space_id, bundle_id, timing_ms))


def _labelled(asked: Received[EnrolManyOptions], most: int) -> tuple[Sequence[bytes], Sequence[PictureLabels]]:
    """The pictures, and the labels of each. Raises BadRequest."""
    files, labels = asked.pictures.get("files", []), asked.options["labels"]
    if not files:
        raise BadRequest("there is no picture; send one or several in the field 'files' of a form", "files")
    if len(files) > most:
        raise BadRequest(f"{len(files)} pictures in one request; at most {most}", "files")
    if labels and len(labels) != len(files):
        raise BadRequest(f"{len(labels)} labels for {len(files)} pictures; give one object for each", "labels")
    return files, labels or [checked(PictureLabels, {})] * len(files)


async def _framed(
    service: Service, active: ServedModel, trace: Trace, file: bytes, labels: PictureLabels, options: EnrolManyOptions
) -> FramedEars | Exception:
    engine, side, box = active.engine, labels["side"], labels.get("box")
    limits, detect = limits_of(options), options["detect"]
    try:
        return await framed_ears(
            service.decode_pool,
            engine,
            trace,
            file,
            side,
            box,
            detect,
            keep=True,
            limits=limits,
            tiles=options["tiles"],
        )
    except Exception as error:
        return _of_the_picture(error)


async def _made(
    service: Service,
    active: ServedModel,
    trace: Trace,
    file: bytes,
    picture: FramedEars | Exception,
    encoded: Iterator[Encoded],
    labels: PictureLabels,
) -> list[NewItem] | Exception:
    """The items of a picture, or why there are none."""
    if isinstance(picture, Exception):
        return picture
    ears = [(ear, next(encoded)) for ear in picture.ears]
    try:
        return [await new_item(service, active, trace, file, ear, one, labels) for ear, one in ears]
    except Exception as error:
        return _of_the_picture(error)


def _of_the_picture(error: Exception) -> Exception:
    """The error, where it is one picture's; what is wrong with the service is raised."""
    if problem_of(error).status >= 500:
        raise error
    return error


def _refused(error: Exception) -> answers.EnrolledPicture:
    problem = problem_of(error)
    refusal = answers.PictureRefusal(message_of(error), problem.type, problem.code, getattr(error, "param", None))
    return answers.EnrolledPicture(problem.status, [], error=refusal)


def _status(outcomes: Sequence[Outcome]) -> int:
    """201 where anything is new."""
    return 201 if any(outcome.added for outcome in outcomes) else 200


def _note(request: Request, outcomes: Sequence[Outcome]) -> None:
    for item, added in outcomes:
        service_of(request).audit.note(request, "enrol" if added else "view", item=item.id, subject=item.subject)
