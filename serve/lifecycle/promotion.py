"""Replaces the model under a live service and a filled gallery: stage, fill, measure, activate, go back, retire.

Both models are loaded and both spaces receive every write from staging until one of them is retired, so that going back
loses nothing. Knows the service's live models and the gallery's spaces; knows no HTTP.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from bundle.manifest import read_manifest
from serve.errors import NotHere, PromotionConflict
from serve.inference.engine import Engine
from serve.lifecycle.calibration_carry import carry_calibration
from serve.lifecycle.model_registry import ModelRegistry, ServedModel
from serve.lifecycle.promotion_record import OPEN, Ledger, PromotionRecord, State, read_ledger, write_ledger
from serve.lifecycle.promotion_report import lost_abilities, measure_promotion, objections
from serve.lifecycle.reembedding import Reembedding
from serve.settings import Settings

log = logging.getLogger(__name__)


class Promotions:
    """The promotions of a service with a gallery in `folder`. Methods block: call them off the event loop."""

    def __init__(self, folder: Path, models: ModelRegistry, settings: Settings) -> None:
        self._folder, self._models, self._settings = folder, models, settings
        self._ledger: Ledger = read_ledger(folder)
        self._changing = threading.Lock()
        self._saving = threading.Lock()  # the worker saves too, and may not wait for a change that waits for it
        self._stop = threading.Event()
        self._worker: threading.Thread | None = None

    def all(self) -> list[PromotionRecord]:
        """Every promotion, the oldest first."""
        return [one.model_copy() for one in self._ledger.promotions]

    def get(self, promotion_id: str) -> PromotionRecord:
        """One promotion. Raises NotHere."""
        return self._find(promotion_id).model_copy()

    def start(self, bundle: Path) -> PromotionRecord:
        """Load and prove a bundle, stage its space, begin to fill it. Raises BundleError, PromotionConflict."""
        with self._changing:
            if (other := self._ledger.under_way()) is not None:
                raise PromotionConflict(f"promotion {other.id} is {other.state}: activate or retire it first")
            if (kept := self._ledger.live()) is not None:
                raise PromotionConflict(f"promotion {kept.id} still keeps its old model: retire it first")
            active, bundle_id = self._models.active, read_manifest(bundle).bundle_id
            if any(bundle_id == live.engine.ids[1] for live in self._models.all()):
                raise PromotionConflict(f"{bundle_id} answers already: promote another bundle")
            staged = self._models.open(bundle)
            record = _record(active, staged)
            record.objections = lost_abilities(active.engine, staged.engine)
            self._stage(record, staged)
            self._begin(record)
            return record.model_copy()

    def _stage(self, record: PromotionRecord, staged: ServedModel) -> None:
        """Let a model take part, and say so durably; all of it or nothing."""
        try:
            self._models.add(staged)
        except Exception:
            staged.engine.close()
            raise
        self._ledger.promotions.append(record)
        try:
            self._save(record)
        except Exception:
            self._ledger.promotions.remove(record)
            self._models.retire(record.bundle_id)
            raise

    def resume(self) -> None:
        """Take up a promotion that a restart interrupted; spaces that no model and no promotion has are let go."""
        spaces = {live.engine.ids[0] for live in self._models.all()}
        if (kept := self._ledger.live()) is not None:
            spaces |= {kept.space_id, kept.from_space_id}  # one of its bundles may be away for now
        for space in self._models.gallery.spaces.all():
            if space.space_id not in spaces:
                log.warning(
                    "space %s is %s and no promotion knows its model: it is retired", space.space_id, space.state
                )
                self._models.gallery.spaces.retire(space.space_id)
        record = self._ledger.under_way()
        if record is not None and record.state == "embedding":
            try:
                self._begin(record)
            except NotHere:
                record.error = f"{record.bundle} does not hold {record.bundle_id} any more"
                self._change(record, "failed")

    def activate(self, promotion_id: str, force: bool = False) -> PromotionRecord:
        """Flip model, index and thresholds in one step. Raises PromotionConflict with all objections unless forced."""
        with self._changing:
            record = self._expect(promotion_id, ("ready", "rolled back"), "activated")
            record.failed_items = self._fill(record.bundle_id)
            against = list(record.objections)
            late = carry_calibration(self._models.gallery, record.from_space_id, record.space_id)
            against += [words for words in late if words not in against]
            if record.failed_items:
                against.append(f"{len(record.failed_items)} items could not be embedded and would not be found")
            if against and not force:
                raise PromotionConflict("not activated: " + "; ".join(against) + ". Say force to do it all the same")
            self._models.activate(record.bundle_id, len(record.failed_items))
            self._change(record, "active")
            return record.model_copy()

    def rollback(self, promotion_id: str) -> PromotionRecord:
        """Let the old model answer again; the new one is kept and can be activated again."""
        with self._changing:
            record = self._expect(promotion_id, ("active",), "rolled back")
            self._models.activate(record.from_bundle_id, len(self._fill(record.from_bundle_id)))
            self._change(record, "rolled back")
            return record.model_copy()

    def retire(self, promotion_id: str) -> PromotionRecord:
        """End a promotion: the model that does not answer is unloaded and its vectors deleted."""
        with self._changing:
            record = self._expect(promotion_id, (*OPEN, "active", "rolled back"), "retired")
            self._halt()
            ended: State = "retired" if record.state == "active" else "cancelled"
            leaving = record.from_bundle_id if record.state == "active" else record.bundle_id
            try:
                self._models.retire(leaving)
            except NotHere as error:  # its folder, or the gallery, was replaced; the next start lets its space go
                log.warning("promotion %s ends without its model: %s", record.id, error)
            self._change(record, ended)
            return record.model_copy()

    def close(self) -> None:
        """Stop the work in the background, or leave it after `drain_s`; a later start resumes it."""
        self._halt(self._settings.drain_s)

    def _fill(self, bundle_id: str) -> list[str]:
        """Embed what a model's space lacks: writes that it was too busy for. Returns the items that it cannot embed."""
        work = Reembedding(self._models.gallery, self._models.of(bundle_id).engine, 1.0, self._stop)
        work.run(lambda tried: None)
        return work.failed

    # -- the work in the background ------------------------------------------------------------------------------------

    def _begin(self, record: PromotionRecord) -> None:
        self._stop = threading.Event()
        engine = self._models.of(record.bundle_id).engine
        self._worker = threading.Thread(target=self._work, args=(record, engine), name="promotion", daemon=True)
        self._worker.start()

    def _work(self, record: PromotionRecord, engine: Engine) -> None:
        gallery, started = self._models.gallery, time.monotonic()
        status = {one.space.space_id: one for one in gallery.spaces.status()}[record.space_id]
        record.total, first = status.items + status.lacking, status.items
        record.done = first

        def progress(tried: int) -> None:
            record.done = min(record.total, record.done + tried)
            rate = (record.done - first) / max(time.monotonic() - started, 1e-6)
            record.eta_s = round((record.total - record.done) / rate, 1) if rate else None

        try:
            work = Reembedding(gallery, engine, self._settings.promotion_share, self._stop)
            work.run(progress)
            if self._stop.is_set():
                return
            record.failed_items, record.eta_s, record.done = work.failed, 0.0, record.total
            if record.space_id != record.from_space_id:
                record.report = measure_promotion(gallery, record.from_space_id, record.space_id)
                record.objections += objections(record.report, self._settings)
                record.objections += carry_calibration(gallery, record.from_space_id, record.space_id)
            self._change(record, "ready")
        except Exception as error:
            log.exception("promotion %s failed", record.id)
            record.error = str(error)
            self._models.retire(record.bundle_id)
            self._change(record, "failed")

    def _halt(self, patience_s: float | None = None) -> None:
        self._stop.set()
        if self._worker is not None:
            self._worker.join(patience_s)

    # -- the record ----------------------------------------------------------------------------------------------------

    def _find(self, promotion_id: str) -> PromotionRecord:
        for record in self._ledger.promotions:
            if record.id == promotion_id:
                return record
        raise NotHere(f"no promotion {promotion_id[:80]!r}")

    def _expect(self, promotion_id: str, states: tuple[State, ...], verb: str) -> PromotionRecord:
        record = self._find(promotion_id)
        if record.state not in states:
            raise PromotionConflict(f"promotion {record.id} is {record.state}; {' or '.join(states)} can be {verb}")
        return record

    def _change(self, record: PromotionRecord, state: State) -> None:
        record.state = state
        self._save(record)

    def _save(self, record: PromotionRecord) -> None:
        with self._saving:
            record.updated = _now()
            write_ledger(self._folder, self._ledger)


def _record(active: ServedModel, staged: ServedModel) -> PromotionRecord:
    now = _now()
    return PromotionRecord(
        id="pr_" + secrets.token_hex(8),
        state="embedding",
        bundle=str(staged.engine.model.folder.resolve()),
        bundle_id=staged.engine.ids[1],
        space_id=staged.engine.ids[0],
        from_bundle=str(active.engine.model.folder.resolve()),
        from_bundle_id=active.engine.ids[1],
        from_space_id=active.engine.ids[0],
        created=now,
        updated=now,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
