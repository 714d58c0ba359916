"""An engine's batchers run the batches that its sessions are made for."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from bundle.landmarks import letterbox
from bundle.manifest import read_manifest
from bundle.model import EarModel
from bundle.session import FakeSession
from serve.inference.engine import Engine
from serve.observability.request_context import Trace
from serve.settings import Settings
from tests.serve.conftest import ear
from tests.serve.tiny_bundle import LATENT


def recording(output, buckets):
    """(session, sizes of the batches that it ran)."""
    sizes = []

    def run(inputs):
        ((_, array),) = inputs.items()
        sizes.append(len(array))
        return {name: np.zeros((len(array), *shape), dtype) for name, (shape, dtype) in output.items()}

    return FakeSession(run, buckets=buckets), sizes


@pytest.mark.parametrize(
    ("buckets", "expected"), [((1, 8, 32), [1, 8, 16]), ((3, 4), [3, 4]), (None, [1, 2, 4, 8, 16])]
)
def test_a_runtime_that_pads_is_given_its_own_batches(bundle_folder, buckets, expected):
    vectors = dict.fromkeys(("embedding", "mu", "logvar"), ((LATENT,), np.float32))
    encoder, encoded = recording(vectors, buckets)
    decoder, decoded = recording({"image": ((128, 128, 3), np.uint8)}, buckets)
    model = EarModel(bundle_folder, read_manifest(bundle_folder), encoder, decoder)
    engine = Engine(model, Settings(bundle=bundle_folder, max_batch=16))
    engine.warm_up()
    # A runtime other than the CPU's runs each size once more, to learn what it costs.
    assert encoded == decoded == [size for size in expected for _ in range(2)]
    engine.close()


@pytest.mark.parametrize("slots", [1, 2])
def test_a_graph_has_as_many_batches_under_way_as_its_session_has_slots(bundle_folder, slots):
    encoder, decoder = (FakeSession(lambda inputs: {}, slots=slots) for _ in range(2))
    engine = Engine(
        EarModel(bundle_folder, read_manifest(bundle_folder), encoder, decoder), Settings(bundle=bundle_folder)
    )
    assert {len(batcher._workers) for batcher in (engine.encoder, engine.decoder)} == {slots}
    engine.close()


def test_the_cpu_looks_at_few_photos_at_once_so_that_memory_is_bounded(finding_bundle):
    sizes, (encoder, _), (decoder, _) = [], recording({}, None), recording({}, None)
    model = EarModel(finding_bundle, read_manifest(finding_bundle), encoder, decoder)
    model.runtime = "onnxruntime-cpu"
    engine = Engine(
        model, Settings(bundle=finding_bundle, max_batch=16), lambda graph, size, seconds: sizes.append(size)
    )
    found = asyncio.run(engine.find(Trace("r", time.monotonic() + 60), [letterbox(ear(n)) for n in range(10)]))
    engine.close()
    assert len(found) == sum(sizes) == 10
    assert max(sizes) <= 4
