"""The Open Inference Protocol over gRPC: `inference.GRPCInferenceService`, for clients that speak nothing else.

Every call becomes the same call of `/v2` inside this process, so limits, keys, batches and messages are those of HTTP.
Streams are refused. Knows protobuf messages and nothing of models. Needs the extra `grpc`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import numpy as np
from google.protobuf import json_format
from starlette.types import ASGIApp
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as stubs

from serve.errors import ConfigurationError
from serve.oip.wire import LENGTH_HEADER
from serve.settings import Settings

PASSED_METADATA = ("authorization", "x-request-id", "traceparent")
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
TYPED = {"UINT8": ("uint_contents", np.uint8), "FP32": ("fp32_contents", np.float32)}
"""Datatype -> the field of typed contents, and its numpy type; BYTES is read on its own."""
MOST_CALLS = 32
"""Calls at a time; others get RESOURCE_EXHAUSTED before their message is read."""
MEMORY_SHARE = 4
"""Messages of all calls may take one part in so many of the memory."""
NO_STREAMS = "streams are not served: one request is one batch; call ModelInfer"

Context = Any
"""`grpc.aio.ServicerContext`; grpc brings no types."""


def most_message_bytes(settings: Settings) -> int:
    """The longest message that is taken: gRPC gathers it whole before a call is seen, so both limits bound all."""
    return min(settings.max_body_bytes, settings.memory_bytes // MEMORY_SHARE // MOST_CALLS)


async def start_server(app: ASGIApp, settings: Settings) -> tuple[grpc.aio.Server, int]:
    """Listen on `settings.grpc_port` and return the server and its port. Raises ConfigurationError."""
    options = [
        ("grpc.max_receive_message_length", most_message_bytes(settings)),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error, not shared
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_CALLS)
    stubs.add_GRPCInferenceServiceServicer_to_server(InferenceService(app), server)
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        port = _listen(server, f"{address}:{settings.grpc_port}", settings)
    except RuntimeError as error:
        raise ConfigurationError(
            f"cannot listen for gRPC on {address}:{settings.grpc_port}: {error}; choose another --grpc-port"
        ) from None
    await server.start()
    return server, port


def _listen(server: grpc.aio.Server, address: str, settings: Settings) -> int:
    if settings.tls_cert is None or settings.tls_key is None:
        return int(server.add_insecure_port(address))
    pair = (settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())
    return int(server.add_secure_port(address, grpc.ssl_server_credentials([pair])))


class InferenceService(stubs.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated code without types
    """The methods of the protocol (KServe's `open_inference_grpc.proto`, as Triton extends it)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def ServerLive(self, request: Any, context: Context) -> Any:
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Context) -> Any:
        answer = await self._ask(context, "GET", "/v2/health/ready", refuse=False)
        return pb.ServerReadyResponse(ready=answer.status_code == 200)

    async def ModelReady(self, request: Any, context: Context) -> Any:
        answer = await self._ask(context, "GET", f"{_path(request)}/ready", refuse=False)
        return pb.ModelReadyResponse(ready=answer.status_code == 200)

    async def ServerMetadata(self, request: Any, context: Context) -> Any:
        answer = await self._ask(context, "GET", "/v2")
        return _message(answer, pb.ServerMetadataResponse())

    async def ModelMetadata(self, request: Any, context: Context) -> Any:
        answer = await self._ask(context, "GET", _path(request))
        return _message(answer, pb.ModelMetadataResponse())

    async def ModelConfig(self, request: Any, context: Context) -> Any:
        answer = await self._ask(context, "GET", f"{_path(request)}/config")
        return pb.ModelConfigResponse(config=_message(answer, pb.ModelConfigResponse().config))

    async def ModelStatistics(self, request: Any, context: Context) -> Any:
        answer = await self._ask(context, "GET", f"{_path(request)}/stats")
        return _message(answer, pb.ModelStatisticsResponse())

    async def ModelInfer(self, request: Any, context: Context) -> Any:
        body, json_bytes = await self._refusing(context, request)
        path = f"{_path(request, 'model_')}/infer"
        answer = await self._ask(context, "POST", path, content=body, headers={LENGTH_HEADER: str(json_bytes)})
        return infer_response(answer.content, int(answer.headers[LENGTH_HEADER]))

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, NO_STREAMS)
        yield  # a generator is what the method has to be

    async def _refusing(self, context: Context, request: Any) -> tuple[bytes, int]:
        try:
            return http_body(request)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    async def _ask(
        self,
        context: Context,
        method: str,
        path: str,
        *,
        refuse: bool = True,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        metadata = {key: value for key, value in context.invocation_metadata() or () if key in PASSED_METADATA}
        transport = httpx.ASGITransport(self._app, client=_caller(context.peer()))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=None) as client:
            answer = await client.request(method, path, headers={**metadata, **(headers or {})}, content=content)
        if refuse and answer.status_code != 200:
            code = CODES.get(answer.status_code, grpc.StatusCode.INTERNAL)
            await context.abort(code, str(answer.json().get("error", answer.text)))
        return answer


def http_body(request: Any) -> tuple[bytes, int]:
    """A ModelInferRequest as the body of `/v2/models/NAME/infer`, and the length of its JSON.

    Raises ValueError for tensors whose contents are missing or of a type that no model here takes.
    """
    raws = list(request.raw_input_contents) or [_typed(tensor) for tensor in request.inputs]
    if len(raws) != len(request.inputs):
        raise ValueError(f"{len(request.inputs)} inputs come with {len(raws)} raw_input_contents; give one for each")
    inputs = [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape),
         "parameters": {**_plain(tensor.parameters), "binary_data_size": len(raw)}}
        for tensor, raw in zip(request.inputs, raws, strict=True)
    ]  # fmt: skip
    parameters = {**_plain(request.parameters), "binary_data_output": True}
    document: dict[str, Any] = {"inputs": inputs, "parameters": parameters}
    if request.id:
        document["id"] = request.id
    if request.outputs:
        document["outputs"] = [{"name": o.name, "parameters": {"binary_data": True}} for o in request.outputs]
    head = json.dumps(document).encode()
    return b"".join([head, *raws]), len(head)


def _typed(tensor: Any) -> bytes:
    if tensor.datatype == "BYTES":
        return b"".join(len(each).to_bytes(4, "little") + each for each in tensor.contents.bytes_contents)
    if tensor.datatype not in TYPED:
        allowed = ", ".join([*TYPED, "BYTES"])
        raise ValueError(f"input {tensor.name!r} is {tensor.datatype!r}; the models here take {allowed}")
    field, kind = TYPED[tensor.datatype]
    return np.asarray(getattr(tensor.contents, field), kind).tobytes()


def infer_response(body: bytes, json_bytes: int) -> Any:
    """The body of an answer of `/v2/models/NAME/infer` as a ModelInferResponse."""
    document, at = json.loads(body[:json_bytes]), json_bytes
    response = pb.ModelInferResponse(
        model_name=document["model_name"], model_version=document.get("model_version", ""), id=document.get("id") or ""
    )
    for name, value in document.get("parameters", {}).items():
        response.parameters[name].string_param = str(value)
    for output in document["outputs"]:
        response.outputs.add(name=output["name"], datatype=output["datatype"], shape=output["shape"])
        size = output["parameters"]["binary_data_size"]
        response.raw_output_contents.append(body[at : at + size])
        at += size
    return response


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in parameters.items()}


def _path(request: Any, prefix: str = "") -> str:
    name, version = getattr(request, f"{prefix}name"), getattr(request, f"{prefix}version")
    return f"/v2/models/{quote(name, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")


def _message(answer: httpx.Response, message: Any) -> Any:
    return json_format.ParseDict(answer.json(), message, ignore_unknown_fields=True)


def _caller(peer: str) -> tuple[str, int]:
    """`ipv4:127.0.0.1:4711`, as gRPC names a caller, for the limits that count callers."""
    host, _, port = peer.partition(":")[2].rpartition(":")
    return host.strip("[]").replace("%5B", "").replace("%5D", "") or peer, int(port) if port.isdigit() else 0
