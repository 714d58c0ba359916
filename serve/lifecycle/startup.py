"""Which bundles a service starts with: the gallery says which space answers, the ledger where its bundle is.

A kill between the two leaves the ledger behind the gallery, and a gallery may be restored from a backup: the gallery
is right, the ledger is corrected. Knows no loaded model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from bundle.errors import BundleError
from bundle.manifest import Manifest, read_manifest
from index.store.active_space import active_space
from serve.lifecycle.promotion_record import OPEN, Ledger, PromotionRecord, read_ledger, write_ledger
from serve.settings import Settings

log = logging.getLogger(__name__)


def bundles_at_start(settings: Settings) -> tuple[Path, Path | None]:
    """The bundle that answers and, in a promotion, the other one."""
    folder = settings.own_gallery
    ledger = read_ledger(folder) if folder is not None else Ledger()
    if folder is None or not ledger.promotions:
        return settings.bundle, None
    kept = ledger.live()
    space_id = active_space(folder)
    for answering in _candidates(settings.bundle, ledger, kept):
        manifest = _manifest(answering)
        if manifest is None or manifest.space_id != space_id:
            continue
        if answering != settings.bundle:
            log.info("the gallery was promoted: %s answers (%s)", manifest.bundle_id, answering)
        if kept is None:
            return answering, None
        _correct(folder, ledger, kept, kept.is_new(manifest))
        return answering, _other(kept)
    return settings.bundle, None  # opening the gallery with it says what does not fit


def _other(kept: PromotionRecord) -> Path | None:
    """The bundle that does not answer, if it is still what the promotion knows: the service starts without it, too."""
    folder = Path(kept.other_bundle)
    manifest = _manifest(folder)
    bundle_id = kept.from_bundle_id if kept.state == "active" else kept.bundle_id
    if manifest is not None and manifest.bundle_id == bundle_id:
        return folder
    log.error("promotion %s goes on without %s: %s holds it no more", kept.id, bundle_id, folder)
    return None


def _correct(folder: Path, ledger: Ledger, kept: PromotionRecord, answers: bool) -> None:
    """Let the record say whether its new model answers."""
    if answers == (kept.state == "active") or (not answers and kept.state in OPEN):
        return
    was, kept.state = kept.state, "active" if answers else "rolled back"
    log.warning("promotion %s was noted as %s; the gallery says that it is %s", kept.id, was, kept.state)
    write_ledger(folder, ledger)


def _candidates(named: Path, ledger: Ledger, kept: PromotionRecord | None) -> Iterator[Path]:
    if kept is not None:  # both of its models are needed to go back and forth
        yield Path(kept.bundle if kept.state == "active" else kept.from_bundle)
        yield Path(kept.other_bundle)
    yield named
    for record in reversed(ledger.promotions):
        yield Path(record.bundle)
        yield Path(record.from_bundle)


def _manifest(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except BundleError as error:
        log.warning("%s is passed over: %s", folder, error)
        return None
