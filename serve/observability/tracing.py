"""OpenTelemetry spans of requests, for those who set an OTLP endpoint and installed the extra `otel`.

A span is made when its request has ended: its times and stages are known then, and a request costs nothing before.
"""

from __future__ import annotations

import time
from typing import Any

from serve.errors import ConfigurationError
from serve.observability.request_context import Trace

STATUS_ERROR = 500


class Spans:
    """Exports a span for every finished request, with its stages as children and the caller's trace as its parent."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("ear-teacher")
        self._server, self._error = SpanKind.SERVER, Status(StatusCode.ERROR)
        self._parent = TraceContextTextMapPropagator().extract

    def finished(self, trace: Trace, route: str, method: str, status: int) -> None:
        """Make and end the span of a request."""
        from opentelemetry.trace import set_span_in_context

        end = time.time_ns()
        start = end - int(trace.elapsed_ms * 1e6)
        attributes = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        ids = {"ear_teacher.request_id": trace.request_id, "ear_teacher.bundle_id": trace.bundle_id or ""}
        parent = self._parent({"traceparent": trace.traceparent}) if trace.traceparent else None
        span = self._tracer.start_span(
            f"{method} {route}", parent, self._server, {**attributes, **ids}, start_time=start
        )
        if status >= STATUS_ERROR:
            span.set_status(self._error)
        inside, at = set_span_in_context(span), start
        for stage, ms in trace.stages_ms.items():  # laid one after the other: what is known is how long each took
            child = self._tracer.start_span(stage, inside, start_time=at)
            at += int(ms * 1e6)
            child.end(at)
        span.end(end)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def open_spans(endpoint: str) -> Spans:
    """Spans that go to an OTLP/HTTP endpoint (`http://collector:4318/v1/traces`)."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(f"--otlp-endpoint needs ear-teacher[otel]: {error}") from None
    provider = TracerProvider(resource=Resource.create({"service.name": "ear-teacher"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return Spans(provider)
