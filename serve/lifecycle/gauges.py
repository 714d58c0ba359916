"""The service's state as numbers, for /metrics: asked at every scrape, never kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from index.errors import GalleryError
from serve.observability.metrics import Gauges, Sample

if TYPE_CHECKING:
    from serve.lifecycle.model_registry import ServedModel


def gauges(active: ServedModel | None) -> Gauges:
    """Every gauge by name (without its prefix), of the active model; None before there is one."""
    shown: Gauges = {"ready_model": ("1 once a model is active.", [({}, float(active is not None))])}
    if active is None:
        return shown
    return {**shown, **_model(active), **_workers(active), **_gallery(active)}


def _model(active: ServedModel) -> Gauges:
    model = active.engine.model
    labels = {
        "bundle_id": model.bundle_id,
        "space_id": model.space_id,
        "runtime": model.runtime,
        "precision": model.precision,
    }
    trouble = float(active.watchdog.trouble is not None)
    return {
        "model_info": ("The active model.", [(labels, 1.0)]),
        "golden_probe_failing": ("1 while golden crops do not come out right.", [({}, trouble)]),
    }


def _workers(active: ServedModel) -> Gauges:
    batchers = active.engine.batchers

    def each(value: str) -> list[Sample]:
        return [({"graph": graph}, float(getattr(batcher, value))) for graph, batcher in batchers.items()]

    return {
        "queue_depth": ("Items that wait for the model.", each("depth")),
        "worker_alive": ("1 while the graph's worker lives.", each("is_alive")),
        "worker_restarts": ("Workers that died and were replaced.", each("restarts")),
        "stalled_seconds": ("How long the running batch hangs; 0 while it does not.", each("stalled_s")),
    }


def _gallery(active: ServedModel) -> Gauges:
    if active.gallery_pool is None:
        return {}
    try:
        count = active.gallery_pool.gallery.count()
    except GalleryError:
        return {}
    return {"gallery_items": ("Enrolled ears.", [({}, float(count))])}
