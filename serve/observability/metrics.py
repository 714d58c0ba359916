"""What /metrics shows (Prometheus): requests, time by stage, batches, queues, workers, the gallery. Units are in names.

One registry per service. Observes finished requests and batches; asks the service for what changes by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serve.observability.request_context import Trace

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)

Sample = tuple[dict[str, str], float]
Gauges = dict[str, tuple[str, list[Sample]]]
"""Name -> (help, samples)."""


class Metrics:
    """The service's own metrics. gauges: asked at every scrape."""

    def __init__(self, gauges: Callable[[], Gauges]) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "ear_teacher_requests", "Answered requests.", ["route", "method", "status"], registry=registry
        )
        self._duration = Histogram(
            "ear_teacher_request_seconds", "Headers in to answer out.", ["route"], buckets=SECONDS, registry=registry
        )
        self._stages = Histogram(
            "ear_teacher_stage_seconds",
            "Time of a request by stage: decode, queue, compute, index, serialise.",
            ["stage", "bundle_id"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batch_size = Histogram(
            "ear_teacher_batch_size", "Items in one model run.", ["graph"], buckets=SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "ear_teacher_batch_seconds", "Duration of one model run.", ["graph"], buckets=SECONDS, registry=registry
        )
        registry.register(_Asked(gauges))
        ProcessCollector(registry=registry)

    def finished(self, trace: Trace, route: str, method: str, status: int) -> None:
        """A request was answered (499: its client had gone)."""
        self._requests.labels(route, method, str(status)).inc()
        self._duration.labels(route).observe(trace.elapsed_ms / 1e3)
        for stage, ms in trace.stages_ms.items():
            self._stages.labels(stage, trace.bundle_id or "").observe(ms / 1e3)

    def ran(self, graph: str, size: int, seconds: float) -> None:
        """A batch ran."""
        self._batch_size.labels(graph).observe(size)
        self._batch_seconds.labels(graph).observe(seconds)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Asked(Collector):
    def __init__(self, gauges: Callable[[], Gauges]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, (text, samples) in self._gauges().items():
            labels = sorted(samples[0][0]) if samples else []
            family = GaugeMetricFamily(f"ear_teacher_{name}", text, labels=labels)
            for values, number in samples:
                family.add_metric([values[label] for label in labels], number)
            yield family
