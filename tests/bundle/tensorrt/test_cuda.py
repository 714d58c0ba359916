"""The CUDA runtime's little: what it says without a GPU, and what it does on one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import bundle.tensorrt.cuda
from bundle.errors import RuntimeUnavailable
from bundle.tensorrt.cuda import Cuda, gpu_present


@pytest.mark.skipif(gpu_present(), reason="needs a machine without a GPU")
def test_without_a_gpu_cuda_says_what_is_missing() -> None:
    with pytest.raises(RuntimeUnavailable, match=r"no CUDA GPU can be used: no .* is \w+.*: .*nvidia-smi"):
        Cuda()


def test_no_visible_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    success = SimpleNamespace(name="cudaSuccess")
    runtime = SimpleNamespace(cudaError_t=SimpleNamespace(cudaSuccess=success), cudaGetDeviceCount=lambda: (success, 0))
    monkeypatch.setattr(bundle.tensorrt.cuda, "_bindings", lambda: runtime)
    with pytest.raises(RuntimeUnavailable, match="CUDA_VISIBLE_DEVICES"):
        Cuda()
    assert not gpu_present()


def test_the_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(RuntimeUnavailable, match=r"need cuda-bindings .*pip install 'cuda-bindings>=13,<14'"):
        Cuda()


@pytest.mark.gpu
def test_memory_streams_graphs_and_events_work() -> None:
    cuda = Cuda()
    assert cuda.gpu().sm.startswith("sm")
    stream, source, target = cuda.stream(), cuda.pinned(1000), cuda.pinned(1000)
    address = cuda.allocate(1000)

    def work() -> None:
        cuda.to_device(address, source.ctypes.data, 1000, stream)
        cuda.to_host(target.ctypes.data, address, 1000, stream)

    graph: Any = cuda.capture(stream, work)
    start, stop = cuda.event(), cuda.event()
    for value in (7, 9):
        source[:] = value
        cuda.record(start, stream)
        cuda.launch(graph, stream)
        cuda.record(stop, stream)
        cuda.synchronise(stream)
        assert np.unique(target).tolist() == [value]
    assert cuda.elapsed_ms(start, stop) > 0
    cuda.destroy_graph(graph)
    cuda.free(address)
    cuda.free_pinned(source)
    cuda.free_pinned(target)
    cuda.destroy_stream(stream)
