"""/v2: the Open Inference Protocol with its binary tensor, configuration and statistics extensions.

`tritonclient` and perf_analyzer talk to it. Bodies are read raw: those clients name no content type.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve.errors import NotHere
from serve.http.content_encoding import WINDOW_BITS, deflate, inflate
from serve.http.openapi import BINARY, answer_model, described
from serve.http.responses import Answer
from serve.lifecycle.model_registry import ServedModel
from serve.observability.request_context import Trace, trace_of
from serve.oip import answers
from serve.oip.infer import infer as run_inference
from serve.oip.infer import options_of
from serve.oip.models import EXTENSIONS, OipModel, find, models_of, version_of
from serve.oip.statistics import ModelStatistics
from serve.oip.wire import LENGTH_HEADER, build_response, parse_request
from serve.readiness import check
from serve.routes.common import needs
from serve.service import attended, service_of

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
models_router = APIRouter(prefix="/v2", tags=["open inference protocol"], dependencies=[needs("embed")])

ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": ERROR}}}
    for status, text in {400: "the request cannot be used", 404: "no such model or version"}.items()
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"description": "not ready", "model": answer_model(answers.ServerReady)}
}
INFER_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"JSON, or JSON and raw tensors with the header {LENGTH_HEADER}",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/octet-stream": {"schema": BINARY},
        },
    }
}
INFER_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/json": {"schema": {"type": "object"}}, "application/octet-stream": {"schema": BINARY}}
    }
}


def _json(answer: Any) -> dict[str, Any]:
    """How a JSON answer is documented."""
    return {"response_class": Answer, "response_model": described(answer), "responses": REFUSED}


@router.get("", **_json(answers.Server))
async def server(request: Request) -> Answer:
    """Name and extensions of the server."""
    return Answer(answers.Server("ear-teacher", request.app.version, list(EXTENSIONS)))


@router.get("/health/live", **_json(answers.ServerLive))
async def live(request: Request) -> Answer:
    """The process answers."""
    return Answer(answers.ServerLive(True))


@router.get(
    "/health/ready", response_class=Answer, response_model=answer_model(answers.ServerReady), responses=NOT_READY
)
async def ready(request: Request) -> Answer:
    """Whether inference requests will be answered."""
    is_ready = (await check(service_of(request))).status == "ready"
    return Answer(answers.ServerReady(is_ready), 200 if is_ready else 503)


@models_router.post("/repository/index", **_json(list[answers.RepositoryEntry]))
async def repository(request: Request) -> Answer:
    """The models and their state: every one in the version of every loaded bundle."""
    entries = [
        answers.RepositoryEntry(name, version_of(live.engine.ids[1]), "READY", "")
        for live in _loaded(request)
        for name in _models(request, live)
    ]
    return Answer(entries)


@models_router.get("/models/stats", **_json(answers.Statistics))
async def all_statistics(request: Request) -> Answer:
    """Counts and times of every model."""
    return Answer(answers.Statistics([_shown(request, one) for one in _models(request, _live(request)).values()]))


@models_router.get("/models/{model}", **_json(answers.Metadata))
@models_router.get("/models/{model}/versions/{version}", **_json(answers.Metadata))
async def metadata(request: Request, model: str, version: str = "") -> Answer:
    """Inputs and outputs of a model, its versions (one for each loaded bundle), its space_id and bundle_id."""
    versions = [version_of(live.engine.ids[1]) for live in _loaded(request)]
    return Answer(_model(request, model, version).metadata(versions))


@models_router.get("/models/{model}/ready", **_json(answers.ModelReady))
@models_router.get("/models/{model}/versions/{version}/ready", **_json(answers.ModelReady))
async def model_ready(request: Request, model: str, version: str = "") -> Answer:
    """Whether a model will answer."""
    name = _model(request, model, version).name
    is_ready = (await check(service_of(request))).status == "ready"
    return Answer(answers.ModelReady(name, is_ready), 200 if is_ready else 503)


@models_router.get("/models/{model}/config", **_json(dict[str, Any]))
@models_router.get("/models/{model}/versions/{version}/config", **_json(dict[str, Any]))
async def config(request: Request, model: str, version: str = "") -> Answer:
    """Triton's ModelConfig of a model."""
    return Answer(_model(request, model, version).config())


@models_router.get("/models/{model}/stats", **_json(answers.Statistics))
@models_router.get("/models/{model}/versions/{version}/stats", **_json(answers.Statistics))
async def statistics(request: Request, model: str, version: str = "") -> Answer:
    """Counts and times of a model."""
    return Answer(answers.Statistics([_shown(request, _model(request, model, version))]))


@models_router.post(
    "/models/{model}/infer", openapi_extra=INFER_BODY, response_class=Response, responses={**REFUSED, **INFER_ANSWER}
)
@models_router.post(
    "/models/{model}/versions/{version}/infer",
    openapi_extra=INFER_BODY,
    response_class=Response,
    responses={**REFUSED, **INFER_ANSWER},
)
async def infer(request: Request, model: str, version: str = "") -> Response:
    """Run a model. Request parameters `side` (left, right, unknown) and, for ear-image, `box` and `detect` frame the
    pictures. Without a version the active bundle answers; the answer's parameters say which one it was."""
    active = _live(request, version)
    asked = find(_models(request, active), model)
    counted, trace = _statistics(request, asked), trace_of(request)
    try:
        response, pictures = await _infer(request, active, asked, trace)
    except Exception:
        counted.failed(trace)
        raise
    counted.succeeded(trace, pictures)
    return response


async def _infer(request: Request, live: ServedModel, model: OipModel, trace: Trace) -> tuple[Response, int]:
    service, engine = service_of(request), live.engine
    limit = service.settings.max_body_bytes
    body = inflate(await request.body(), request.headers.get("content-encoding", ""), limit)
    parsed = parse_request(body, request.headers.get(LENGTH_HEADER), model.raw_input)
    outputs = model.asked_outputs(parsed)
    tensor = model.read_input(parsed)
    service.rates.count_more(request, len(tensor.array) - 1)
    work = run_inference(trace, engine, service.decode_pool, model, tensor, options_of(parsed))
    tensors = await attended(request, work)
    started = time.perf_counter()
    head: dict[str, Any] = {"model_name": model.name, "model_version": model.version, "parameters": model.parameters}
    if parsed.id:
        head["id"] = parsed.id
    chosen = [tensor for name in outputs for tensor in tensors if tensor.name == name]
    document, json_length = build_response(head, chosen, outputs)
    trace.add("serialise", (time.perf_counter() - started) * 1e3)
    return _packed(request, document, json_length), tensors[0].shape[0]


def _packed(request: Request, document: bytes, json_length: int | None) -> Response:
    headers = {}
    if json_length is not None:
        headers[LENGTH_HEADER] = str(json_length)
    accepted = [part.split(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")]
    encoding = next((name for name in accepted if name in WINDOW_BITS), None)
    if encoding is not None:
        headers["Content-Encoding"] = encoding
        document = deflate(document, encoding)
    kind = "application/json" if json_length is None else "application/octet-stream"
    return Response(document, media_type=kind, headers=headers)


def _live(request: Request, version: str = "") -> ServedModel:
    """The model of a version (a number of `version_of`, a bundle_id or space_id), the active one without. Raises
    NotHere."""
    service = service_of(request)
    if not version:
        return service.use(request)
    numbers = {version_of(live.engine.ids[1]): live for live in _loaded(request)}
    for number, live in numbers.items():
        if version in (number, *live.engine.ids):
            return service.use(request, model=live.engine.ids[1])
    raise NotHere(f"there is no version {version[:40]!r}; loaded are {', '.join(numbers)}, or their bundle_ids")


def _loaded(request: Request) -> list[ServedModel]:
    return service_of(request).loaded().all()


def _models(request: Request, live: ServedModel) -> Mapping[str, OipModel]:
    return models_of(live.engine, service_of(request).settings.max_inputs)


def _model(request: Request, name: str, version: str) -> OipModel:
    return find(_models(request, _live(request, version)), name)


def _statistics(request: Request, model: OipModel) -> ModelStatistics:
    counts = service_of(request).oip_statistics
    return counts.setdefault(f"{model.name} {model.version}", ModelStatistics())


def _shown(request: Request, model: OipModel) -> dict[str, Any]:
    return _statistics(request, model).shown(model.name, model.version)


@models_router.post("/repository/models/{model}/load", response_class=Answer)
@models_router.post("/repository/models/{model}/unload", response_class=Answer)
async def repository_change(request: Request, model: str) -> Answer:
    """Models are changed by promotion, never loaded or unloaded under a filled gallery."""
    raise NotHere("models are not loaded or unloaded here: promote a bundle (POST /v1/promotions)")
