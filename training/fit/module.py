"""One step of training and one of validation, as Lightning wants it.

Puts networks, objective and augmentation together. Which files a run writes, and when it stops, is the trainer's
business (`training/fit/trainer.py`, `training/fit/callbacks.py`).
"""

from __future__ import annotations

import json
from typing import Any, cast

import torch
from torch import Tensor, nn

from training.checkpoint import BRANCH_KEY, HEADER_KEY, header
from training.config import TrainConfig
from training.data.augment import AugmentStrength, View, augment
from training.data.dataset import Batch, to_unit
from training.fit.frozen_cache import FrozenCache
from training.fit.optimizer import make_optimizer
from training.fit.schedule import ScheduledModule
from training.fit.validation import Validated, figures, join
from training.losses.contrastive import contrastive
from training.losses.kl import kl
from training.losses.landmark import heatmap, landmark
from training.losses.objective import Objective, Terms
from training.losses.perceptual import Vgg16Features
from training.losses.reconstruction import l1
from training.networks.encoder import EncoderOutput
from training.networks.vae import EarVAE, sample

HEAT_SHARE = 0.3
"""Of the heat maps' cross-entropy in the keypoint term, beside the distance of their expected places."""


class LandmarkReader(nn.Linear):
    """mu -> landmarks, (B, D) -> (B, K, 2) shares of the crop's side; only training has it."""

    def __init__(self, latent_dim: int, landmarks: int) -> None:
        super().__init__(latent_dim, 2 * landmarks)

    def forward(self, mu: Tensor) -> Tensor:
        return super().forward(mu).unflatten(1, (-1, 2)) / 4 + 0.5  # type: ignore[no-untyped-call, no-any-return]


class EarModule(ScheduledModule):
    """Trains an `EarVAE`.

    Args:
        config: the run.
        model: the networks.
        vgg: features of the perceptual term, where it has a weight.
        landmarks: how many the data has.
        provenance: what checkpoints say of how they were made.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: EarVAE,
        vgg: Vgg16Features | None = None,
        landmarks: int = 0,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(config.warmup)
        self.run = config
        self.model = model
        self.objective = Objective(config.losses, vgg)
        self.provenance = provenance or {}
        self.trained_on: dict[str, Any] = {}  # set by the trainer: `TrainedOn.to_dict`
        self.branch: dict[str, Any] | None = None  # likewise: the aligned embedding that is carried along
        self.strength = AugmentStrength().scaled(config.augment)
        self.validated: Validated | None = None
        self.frozen_cache: FrozenCache | None = None
        self._parts: list[dict[str, Tensor]] = []
        # A term without weight gives its parameters no gradient, which several devices would wait for.
        model.identity.weight.requires_grad_(config.losses.contrastive > 0)
        reads = config.losses.landmark > 0 and landmarks > 0
        self.landmark_reader = LandmarkReader(config.model.latent_dim, landmarks) if reads else None
        self._keypoints = min(landmarks, config.model.keypoints) if config.losses.keypoint > 0 else 0

    def on_fit_start(self) -> None:
        """The device is known now."""
        self.objective.to_device(self.device)
        if self.run.cache_frozen_gib > 0:
            self.frozen_cache = FrozenCache(self.model.encoder.sam, int(self.run.cache_frozen_gib * (1 << 30)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser; its learning rate is set each step by `on_train_batch_start`."""
        return make_optimizer(self, self.run)

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by norm. Lightning refuses to where the optimiser is fused, though only float16's scaler minds."""
        if gradient_clip_val and self.run.precision != "16-mixed":
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Encode every view, decode the first, weigh the terms. Returns the loss."""
        views = self.views(batch)
        inputs = torch.cat([view.input for view in views])
        reading = self.model.encoder.read(inputs, self._frozen("train", inputs, batch))
        mu, logvar = reading.mu.float(), reading.logvar.float()
        count, every = len(batch.images), self.run.decode_every
        latent = sample(mu[:count], logvar[:count], self._noise())
        reconstruction = self.model.decoder(latent[::every]).float()
        with torch.autocast(self.device.type, enabled=False):
            terms = self.objective.compare(reconstruction, views[0].target[::every])
            terms["kl"] = kl(mu, logvar)
            if self.run.losses.coarse > 0:
                small = self.model.decoder.small.reduce(views[0].target)
                terms["coarse"] = l1(self.model.decoder.coarse(latent), small)
            terms |= self._identity_terms(batch, mu)
            terms |= self._landmark_terms(batch, views, mu, reading)
            loss = self.objective.total(terms)
        names = {f"train_{name}": value.detach() for name, value in {"loss": loss, **terms}.items()}
        self.log_dict(names, on_step=True, on_epoch=True, batch_size=count)
        return loss

    def views(self, batch: Batch) -> list[View]:
        """The augmented views of a batch, in float32."""
        images = to_unit(batch.images)
        with torch.autocast(self.device.type, enabled=False):
            return [
                augment(images, batch.landmarks, params, self.strength) for params in batch.augment_params.unbind(1)
            ]

    def _frozen(self, part: str, images: Tensor, batch: Batch) -> Tensor | None:
        """What the frozen half makes of pictures that stay the same, from the cache where the run has one."""
        if self.frozen_cache is None or (part == "train" and self.run.augment > 0):
            return None
        items = batch.indexes.tolist()
        return self.frozen_cache.hidden(images, [(part, item) for item in items] * (len(images) // len(items)))

    def _identity_terms(self, batch: Batch, mu: Tensor) -> Terms:
        self._follow_mean(mu)
        if self.run.losses.contrastive == 0:
            return {}
        embedding, labels = self.model.identity(mu), batch.labels.repeat(len(mu) // len(batch.labels))
        if self.trainer.world_size > 1:  # every device sees every device's ears: more to repel
            embedding = cast(Tensor, self.all_gather(embedding, sync_grads=True)).flatten(0, 1)
            labels = cast(Tensor, self.all_gather(labels)).flatten()
        return {"contrastive": contrastive(embedding, labels, self.run.temperature)}

    def _landmark_terms(self, batch: Batch, views: list[View], mu: Tensor, reading: EncoderOutput) -> Terms:
        terms: Terms = {}
        truth = torch.cat([view.landmarks for view in views])
        weights = batch.weights.repeat(len(views), 1)
        if self.landmark_reader is not None:
            terms["landmark"] = landmark(self.landmark_reader(mu), truth, weights)
        if self._keypoints and reading.heat is not None and reading.places is not None:
            some = slice(0, self._keypoints)
            near = landmark(reading.places[:, some], truth[:, some], weights[:, some])
            hot = heatmap(reading.heat[:, some], truth[:, some], weights[:, some])
            terms["keypoint"] = near + HEAT_SHARE * hot
        return terms

    @torch.no_grad()
    def _follow_mean(self, mu: Tensor) -> None:
        """Let the identity head's m follow the mean of mu; the end of the run computes it exactly."""
        share = max(1 / (self.global_step + 1), 0.01)
        self.model.identity.mean.lerp_(mu.detach().mean(0), share)

    def _noise(self) -> torch.Generator:
        """A generator that depends on seed, step and device alone, so that a resumed run draws the same."""
        place = (self.run.seed * 1_000_003 + self.global_step) * 4096 + self.global_rank
        return torch.Generator(self.device).manual_seed(place % 2**63)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Everything about each picture, without noise or augmentation; joined at the epoch's end."""
        images = to_unit(batch.images)
        reading = self.model.encoder.read(images, self._frozen("val", images, batch))
        mu, logvar = reading.mu.float(), reading.logvar.float()
        reconstruction = self.model.decoder(reading.mu).float()
        with torch.autocast(self.device.type, enabled=False):
            values = self.objective.compare_each(reconstruction, images)
            values["kl"] = torch.func.vmap(kl)(mu[:, None], logvar[:, None])
            if self.landmark_reader is not None:
                parts = (part[:, None] for part in (self.landmark_reader(mu), batch.landmarks, batch.weights))
                values["landmark"] = torch.func.vmap(landmark)(*parts)
            values |= {"mu": mu, "embedding": self.model.identity(mu)}
        self._parts.append({**values, "label": batch.labels, "index": batch.indexes})

    def on_validation_epoch_end(self) -> None:
        """Join what all devices saw; log means and identification."""
        columns = {name: torch.cat([part[name] for part in self._parts]) for name in self._parts[0]}
        self._parts.clear()
        if self.trainer.world_size > 1:
            columns = {name: cast(Tensor, self.all_gather(column)).flatten(0, 1) for name, column in columns.items()}
        self.validated = join(columns)
        metrics = figures(self.validated, self.objective, self.run)
        self.log_dict({f"val_{name}": value for name, value in metrics.items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the JSON header that `training.checkpoint` reads."""
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items() if name[:4] == "val_"}
        provenance = {**self.provenance, "epoch": self.current_epoch, "step": self.global_step}
        checkpoint[HEADER_KEY] = header(self.run.model, provenance, metrics, self.trained_on)
        if self.branch is not None:
            checkpoint[BRANCH_KEY] = self.branch
        checkpoint["train_config"] = json.dumps(self.run.to_dict())
        checkpoint["progress"] = self.progress

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the progress of the interrupted run; one that is made longer has its schedule stretched."""
        before = json.loads(checkpoint["train_config"])
        longer = (self.run.epochs, self.run.max_minutes) != (before["epochs"], before["max_minutes"])
        self.progress = 0.0 if longer else float(checkpoint["progress"])
