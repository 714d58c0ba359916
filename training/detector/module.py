"""One step of the detector's training and of its validation, as Lightning wants it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from measure.boxes import iou
from measure.landmarks import box_diagonal, normalised_error
from training.data.augment import AugmentStrength, augment
from training.data.dataset import to_unit
from training.detector.config import DetectorRun
from training.detector.detector import EarDetector
from training.detector.losses import coarse_terms, fine_terms
from training.detector.steps import StepBatch, ValBatch
from training.fit.optimizer import BETAS, MUON_MOMENTUM, MuonAdamW
from training.fit.schedule import ScheduledModule

WEIGHTS = {"first_side": 0.3, "landmark": 3.0, "visible": 0.3, "mirrored": 0.3, "ear": 0.5}
"""Of the terms; 1 where nothing is said."""
RUN_KEY = "detector_run"
"""Entry of Lightning's checkpoints that holds the flags, JSON."""
_NOT_FOR_MUON = ("patch_embed", "pos_embed", "rel_pos", "to_heat", "to_cells", "to_outputs", "gate")


class DetectorModule(ScheduledModule):
    """Trains an `EarDetector`."""

    def __init__(self, run: DetectorRun, detector: EarDetector) -> None:
        super().__init__(run.warmup)
        self.run, self.detector = run, detector
        self.strength = AugmentStrength().scaled(run.augment)
        self._validated: list[dict[str, Any]] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Muon for matrices, AdamW for the rest; the encoder at its own share of the rate."""
        return make_optimizer(self.detector, self.run)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a resumed run must know; batches follow from the step, so nothing of them is saved."""
        checkpoint[RUN_KEY] = json.dumps(self.run.to_dict())
        checkpoint["progress"] = self.progress

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the progress of the interrupted run."""
        self.progress = float(checkpoint["progress"])

    def training_step(self, batch: StepBatch, batch_idx: int) -> Tensor:
        """Both stages. Returns the loss."""
        with torch.autocast(self.device.type, enabled=False):
            view = augment(to_unit(batch.crops), batch.points, batch.augment_params, self.strength)
        coarse = self.detector.coarse_stage(to_unit(batch.scenes))
        fine = self.detector.fine_stage(view.input)
        with torch.autocast(self.device.type, enabled=False):
            terms = coarse_terms(coarse, batch.boxes, batch.right, batch.present)
            terms |= fine_terms(fine, view.landmarks, batch.weights, batch.visible, batch.labels)
            loss = torch.stack([WEIGHTS.get(name, 1.0) * value for name, value in terms.items()]).sum()
        self.log_dict(
            {f"train_{name}": value.detach() for name, value in {"loss": loss, **terms}.items()},
            on_step=True, on_epoch=True, batch_size=len(batch.crops),
        )  # fmt: skip
        return loss

    def validation_step(self, batch: ValBatch, batch_idx: int) -> None:
        """Find the most certain ear of each photo."""
        with torch.autocast(self.device.type, enabled=False):
            detections = self.detector(batch.pictures)
        best = detections.scores.argmax(1)
        rows = torch.arange(len(best), device=best.device)
        values = {"box": detections.boxes[rows, best], "points": detections.points[rows, best]}
        values |= {"true_box": batch.boxes, "true_points": batch.points, "weights": batch.weights}
        self._validated.append({name: value.float().cpu().numpy() for name, value in values.items()})

    def on_validation_epoch_end(self) -> None:
        """Overlap and, where landmarks are known, their error over the photos of this device."""
        columns = {name: np.concatenate([part[name] for part in self._validated]) for name in self._validated[0]}
        self._validated.clear()
        overlap = np.diagonal(iou(columns["box"].astype(float), columns["true_box"].astype(float)))
        self.log("val_iou", float(overlap.mean()), sync_dist=True)
        if (columns["weights"] > 0).any():
            size = box_diagonal(columns["true_box"].astype(float))
            error = normalised_error(columns["points"], columns["true_points"], size, columns["weights"] > 0)
            self.log("val_nme", float(np.nanmedian(error)), sync_dist=True)


def make_optimizer(detector: nn.Module, run: DetectorRun) -> torch.optim.Optimizer:
    """Groups by what a parameter is (matrix for Muon, other matrix, vector) and whose (encoder or heads)."""
    share = run.encoder_rate if run.teacher is not None else 1.0
    groups: dict[tuple[str, float], list[nn.Parameter]] = {}
    for name, parameter in detector.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = share if name.startswith(("sam.", "blocks.")) else 1.0
        special = any(part in name for part in _NOT_FOR_MUON)
        kind = "plain" if parameter.ndim < 2 or "pos" in name else "decay" if special else "muon"
        groups.setdefault((kind, rate), []).append(parameter)
    made: list[dict[str, Any]] = []
    for (kind, rate), parameters in groups.items():
        lr = rate * (run.muon_lr if kind == "muon" else run.lr)
        decay = {"muon": 0.01, "decay": run.weight_decay, "plain": 0.0}[kind]
        values = {"params": parameters, "lr": lr, "initial_lr": lr, "weight_decay": decay, "muon": kind == "muon"}
        made.append(values | ({"momentum": MUON_MOMENTUM} if kind == "muon" else {}))
    return MuonAdamW(made, lr=run.lr, betas=BETAS)
