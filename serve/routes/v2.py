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
from serve.http.responses import Answer
from serve.observability.request_context import Trace, trace_of
from serve.oip.infer import infer as run_inference
from serve.oip.models import EXTENSIONS, VERSION, OipModel, find, models_of
from serve.oip.statistics import ModelStatistics
from serve.oip.wire import LENGTH_HEADER, WINDOW_BITS, build_response, deflate, inflate, parse_request
from serve.readiness import check
from serve.routes.common import needs
from serve.service import attended, service_of

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
models_router = APIRouter(prefix="/v2", tags=["open inference protocol"], dependencies=[needs("embed")])

INFER_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"JSON, or JSON and raw tensors with the header {LENGTH_HEADER}",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("", response_class=Answer)
async def server(request: Request) -> Answer:
    """Name and extensions of the server."""
    return Answer({"name": "ear-teacher", "version": request.app.version, "extensions": EXTENSIONS})


@router.get("/health/live", response_class=Answer)
async def live(request: Request) -> Answer:
    """The process answers."""
    return Answer({"live": True})


@router.get("/health/ready", response_class=Answer)
async def ready(request: Request) -> Answer:
    """Whether inference requests will be answered."""
    report = await check(service_of(request))
    is_ready = report["status"] == "ready"
    return Answer({"ready": is_ready}, 200 if is_ready else 503)


@models_router.post("/repository/index", response_class=Answer)
async def repository(request: Request) -> Answer:
    """The models and their state."""
    entries = [{"name": name, "version": VERSION, "state": "READY", "reason": ""} for name in _models(request)]
    return Answer(entries)


@models_router.get("/models/stats", response_class=Answer)
async def all_statistics(request: Request) -> Answer:
    """Counts and times of every model."""
    return Answer({"model_stats": [_statistics(request, name).shown(name) for name in _models(request)]})


@models_router.get("/models/{model}", response_class=Answer)
@models_router.get("/models/{model}/versions/{version}", response_class=Answer)
async def metadata(request: Request, model: str, version: str = VERSION) -> Answer:
    """Inputs and outputs of a model."""
    return Answer(find(_models(request), model, version).metadata())


@models_router.get("/models/{model}/ready", response_class=Answer)
@models_router.get("/models/{model}/versions/{version}/ready", response_class=Answer)
async def model_ready(request: Request, model: str, version: str = VERSION) -> Answer:
    """Whether a model will answer."""
    name = find(_models(request), model, version).name
    is_ready = (await check(service_of(request)))["status"] == "ready"
    return Answer({"name": name, "ready": is_ready}, 200 if is_ready else 503)


@models_router.get("/models/{model}/config", response_class=Answer)
@models_router.get("/models/{model}/versions/{version}/config", response_class=Answer)
async def config(request: Request, model: str, version: str = VERSION) -> Answer:
    """Triton's ModelConfig of a model."""
    return Answer(find(_models(request), model, version).config())


@models_router.get("/models/{model}/stats", response_class=Answer)
@models_router.get("/models/{model}/versions/{version}/stats", response_class=Answer)
async def statistics(request: Request, model: str, version: str = VERSION) -> Answer:
    """Counts and times of a model."""
    name = find(_models(request), model, version).name
    return Answer({"model_stats": [_statistics(request, name).shown(name)]})


@models_router.post("/models/{model}/infer", openapi_extra=INFER_BODY, response_class=Response)
@models_router.post("/models/{model}/versions/{version}/infer", openapi_extra=INFER_BODY, response_class=Response)
async def infer(request: Request, model: str, version: str = VERSION) -> Response:
    """Run a model. Request parameters `side` (left, right, unknown) and, for ear-image, `box` frame the pictures."""
    asked = find(_models(request), model, version)
    counted, trace = _statistics(request, asked.name), trace_of(request)
    try:
        response, pictures = await _infer(request, asked, trace)
    except Exception:
        counted.failed(trace)
        raise
    counted.succeeded(trace, pictures)
    return response


async def _infer(request: Request, model: OipModel, trace: Trace) -> tuple[Response, int]:
    service = service_of(request)
    engine = service.use(request).engine
    limit = service.settings.max_body_bytes
    body = inflate(await request.body(), request.headers.get("content-encoding", ""), limit)
    parsed = parse_request(body, request.headers.get(LENGTH_HEADER), model.raw_input)
    wanted = model.asked_outputs(parsed)
    tensors = await attended(request, run_inference(trace, engine, service.intake, model, parsed))
    started = time.perf_counter()
    head: dict[str, Any] = {"model_name": model.name, "model_version": VERSION}
    if parsed.id:
        head["id"] = parsed.id
    chosen = [tensor for name in wanted for tensor in tensors if tensor.name == name]
    document, json_length = build_response(head, chosen, wanted)
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


def _models(request: Request) -> Mapping[str, OipModel]:
    service = service_of(request)
    return models_of(service.use(request).engine, service.settings.max_inputs)


def _statistics(request: Request, name: str) -> ModelStatistics:
    counts: dict[str, ModelStatistics] = service_of(request).oip_statistics
    return counts.setdefault(name, ModelStatistics())


@models_router.post("/repository/models/{model}/load", response_class=Answer)
@models_router.post("/repository/models/{model}/unload", response_class=Answer)
async def repository_change(request: Request, model: str) -> Answer:
    """Models are changed by promotion, never loaded or unloaded under a filled gallery."""
    raise NotHere("models are not loaded or unloaded here: promote a bundle (POST /v1/promotions)")
