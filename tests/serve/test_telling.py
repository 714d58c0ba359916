"""What the service tells of itself: metrics, logs, traces, and the watchdog's findings."""

import asyncio
import base64
import io
import json
import logging
import re
import threading
from dataclasses import replace
from functools import partial

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.inference.batcher import BatchLimits
from serve.observability.logs import JsonFormatter, configure
from tests.serve.conftest import enrol, png, until


def samples(client):
    text = client.get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_and_stages_are_counted(client):
    client.post("/v1/embed", content=png())
    client.post("/v1/embed", content=b"no picture")
    told = samples(client)
    ok = ("ear_teacher_requests_total", ("method", "POST"), ("route", "/v1/embed"), ("status", "200"))
    refused = ("ear_teacher_requests_total", ("method", "POST"), ("route", "/v1/embed"), ("status", "400"))
    assert (told[ok], told[refused]) == (1, 1)
    bundle_id = client.get("/health/live").headers["X-Ear-Bundle-Id"]
    for stage in ("decode", "queue", "compute", "serialise"):
        assert told["ear_teacher_stage_seconds_count", ("bundle_id", bundle_id), ("stage", stage)] >= 1
    assert told["ear_teacher_batch_size_count", ("graph", "encoder")] == 1
    assert told["ear_teacher_queue_depth", ("graph", "encoder")] == 0
    assert told["ear_teacher_worker_alive", ("graph", "decoder")] == 1
    assert told["process_resident_memory_bytes",] > 0


def test_pictures_decoded_side_by_side_take_no_longer_than_the_request(client):
    body = {"input": [base64.b64encode(png(seed, size=(1200, 900))).decode() for seed in range(8)]}
    assert client.post("/v1/embeddings", json=body).status_code == 200
    told = samples(client)
    took = told["ear_teacher_request_seconds_sum", ("route", "/v1/embeddings")]
    stages = [value for key, value in told.items() if key[0] == "ear_teacher_stage_seconds_sum"]
    assert 0 < sum(stages) <= took


def test_the_gallery_and_the_model_are_shown(client):
    enrol(client, 1)
    told = samples(client)
    assert told["ear_teacher_gallery_items",] == 1
    (info,) = [key for key in told if key[0] == "ear_teacher_model_info"]
    assert ("runtime", "onnxruntime-cpu") in info


def test_units_are_in_the_names(client):
    client.post("/v1/embed", content=png())
    names = {key[0] for key in samples(client) if key[0].startswith("ear_teacher")}
    timed = [name for name in names if re.search("duration|latency|time|_ms", name)]
    assert timed == [] or all("seconds" in name for name in timed)


@pytest.fixture
def log_lines():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("serve")
    old = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(old)


def test_a_request_is_one_json_line_with_its_id_and_stages(client, log_lines):
    client.post("/v1/embed", content=png(), headers={"X-Request-Id": "r-7"})
    (line,) = [line for line in log_lines() if line.get("request_id") == "r-7"]
    assert (line["method"], line["route"], line["status"], line["caller"]) == ("POST", "/v1/embed", 200, "anonymous")
    assert set(line["stages_ms"]) >= {"decode", "queue", "compute"}


def test_no_name_of_a_person_gets_into_the_log(client, log_lines):
    enrol(client, 1, subject="anna-schmidt")
    client.get("/v1/gallery/items?subject=anna-schmidt")
    client.delete("/v1/gallery/subjects/anna-schmidt")
    assert len(log_lines()) >= 3
    assert "schmidt" not in json.dumps(log_lines())


def test_a_crash_is_logged_with_its_traceback(client, log_lines, monkeypatch):
    monkeypatch.setattr(client.app.state.service.active.engine, "encode", lambda trace, crops: 1 / 0)
    client.post("/v1/embed", content=png())
    (line,) = [line for line in log_lines() if "exception" in line]
    assert "ZeroDivisionError" in line["exception"]


def test_styles_of_log_lines(capsys):
    configure("json")
    logging.getLogger("serve.x").info("hello")
    configure("text")
    logging.getLogger("serve.x").info("again")
    first, second = capsys.readouterr().err.splitlines()
    assert json.loads(first)["message"] == "hello"
    assert second.endswith("again")


def test_spans_carry_stages_and_join_the_callers_trace(serve, monkeypatch):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from serve.observability.tracing import Spans

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("serve.service.open_spans", lambda endpoint: Spans(provider))
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with serve(otlp_endpoint="http://127.0.0.1:1/v1/traces") as client:
        client.post("/v1/embed", content=png(), headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
        spans = {span.name: span for span in exporter.get_finished_spans()}
    request = spans["POST /v1/embed"]
    assert f"{request.context.trace_id:032x}" == trace_id
    assert request.attributes["http.response.status_code"] == 200
    assert spans["compute"].parent.span_id == request.context.span_id


def test_a_model_that_begins_to_give_wrong_numbers_is_not_ready(serve):
    with serve(probe_s=0.05) as client:
        engine = client.app.state.service.active.engine
        real = engine.encoder._run

        def wrong(crops):
            return [type(one)(-one.embedding, one.mu, one.logvar) for one in real(crops)]

        engine.encoder._run = wrong
        until(lambda: client.get("/health/ready").status_code == 503)
        assert "encoded wrongly" in client.get("/health/ready").json()["checks"]["golden"]
        assert samples(client)["ear_teacher_golden_probe_failing",] == 1
        engine.encoder._run = real
        until(lambda: client.get("/health/ready").status_code == 200)


def test_a_model_that_hangs_or_fails_is_found_without_any_request(serve):
    with serve(probe_s=0.05, stalled_after_s=0.2) as client:
        encoder = client.app.state.service.active.engine.encoder
        real, gate = encoder._run, threading.Event()

        def hung(crops):
            assert gate.wait(20)
            raise RuntimeError("CUDA error: device lost")

        encoder._run = hung
        until(lambda: client.get("/health/ready").status_code == 503)
        assert samples(client)["ear_teacher_stalled_seconds", ("graph", "encoder")] >= 0
        gate.set()
        until(lambda: "device lost" in client.get("/health/ready").json()["checks"]["golden"])
        encoder._run = real
        until(lambda: client.get("/health/ready").status_code == 200)


def test_load_is_neither_trouble_nor_the_end_of_it(client):
    """Of a queue that is full, and of one that moves on but does not come to the probe in time."""
    watchdog, encoder = client.app.state.service.active.watchdog, client.app.state.service.active.engine.encoder
    roomy, real, gate, entered = encoder._limits, encoder._run, threading.Event(), threading.Event()

    def probe_under_load():
        encoder._limits = BatchLimits(queue_size=0)
        asyncio.run(watchdog.tick())
        full = watchdog.trouble
        encoder._limits, watchdog._patience_s = roomy, 0.2
        gate.clear(), entered.clear()
        asking = threading.Thread(target=client.post, args=("/v1/embed",), kwargs={"content": png()})
        asking.start()
        assert entered.wait(20)
        asyncio.run(watchdog.tick())
        gate.set()
        asking.join(20)
        watchdog._patience_s = 20
        return full, watchdog.trouble

    def held(crops, turn=False):
        entered.set()
        assert gate.wait(20)
        return [replace(one, embedding=-one.embedding) for one in real(crops)] if turn else real(crops)

    encoder._run = held
    assert probe_under_load() == (None, None)
    encoder._run = partial(held, turn=True)
    asyncio.run(watchdog.tick())
    assert "encoded wrongly" in watchdog.trouble
    assert probe_under_load() == (watchdog.trouble, watchdog.trouble)
    assert client.get("/health/ready").status_code == 503
    encoder._run = real
    asyncio.run(watchdog.tick())
    assert client.get("/health/ready").status_code == 200
