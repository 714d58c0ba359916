"""A student learns what a teacher sees: its mu and its embedding, from the same pictures (Hinton et al. 2015; as
regression of features, Romero et al. 2015).

The teacher looks at the clean view, the student at the spoiled one. The student has a decoder of its own and, once
trained, is a model like any other, with an embedding space of its own. Knows no flags.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from measure.errors import MeasureError
from measure.protocol import evaluate
from training.config import LossWeights, TrainConfig
from training.data.augment import View
from training.data.dataset import Batch, to_unit
from training.data.prepare import prepare
from training.errors import ConfigError
from training.fit.finish import encode
from training.fit.module import EarModule
from training.fit.trainer import fit
from training.losses.objective import Objective, Terms
from training.losses.perceptual import Vgg16Features
from training.networks.vae import EarVAE

REPORT = "distillation.json"
TIMED_PICTURES = 16
Say = Callable[[str], None]


class ImitatingObjective(Objective):
    """The objective of training, and how far the student is from its teacher."""

    def __init__(self, weights: LossWeights, vgg: Vgg16Features | None, imitation: float) -> None:
        super().__init__(weights, vgg)
        self._imitation = imitation

    def total(self, terms: Terms) -> Tensor:
        """The weighted sum of all terms."""
        imitated = [value for name, value in terms.items() if name.startswith("imitate_")]
        return super().total(terms) + self._imitation * torch.stack([*imitated, torch.zeros_like(terms["l1"])]).sum()


class DistillModule(EarModule):
    """Trains a student beside its teacher.

    Args:
        config, model, vgg, landmarks, provenance: as `EarModule` takes them.
        teacher: stays as it is and out of the checkpoints.
        imitation: weight of the teacher's word.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: EarVAE,
        vgg: Vgg16Features | None = None,
        landmarks: int = 0,
        provenance: dict[str, Any] | None = None,
        *,
        teacher: EarVAE,
        imitation: float,
    ) -> None:
        super().__init__(config, model, vgg, landmarks, provenance)
        self.objective = ImitatingObjective(config.losses, vgg, imitation)
        self._teacher = [teacher.requires_grad_(False).eval()]  # in a list: frozen weights have no place in checkpoints
        model.identity.load_state_dict(teacher.identity.state_dict())
        self._clean: Tensor | None = None

    def on_fit_start(self) -> None:
        super().on_fit_start()
        self._teacher = [self._teacher[0].to(self.device)]

    def views(self, batch: Batch) -> list[View]:
        """As in training; the clean views are kept for the teacher."""
        views = super().views(batch)
        self._clean = torch.cat([view.target for view in views])
        return views

    def _identity_terms(self, batch: Batch, mu: Tensor) -> Terms:
        teacher, clean = self._teacher[0], self._clean
        assert clean is not None  # views() came first
        terms = super()._identity_terms(batch, mu)
        with torch.no_grad():
            wanted = teacher.encoder(clean)[0].float()
            embedding = teacher.identity(wanted)
        return terms | imitation_terms(mu, self.model.identity(mu), wanted, embedding)


def imitation_terms(mu: Tensor, embedding: Tensor, wanted_mu: Tensor, wanted_embedding: Tensor) -> Terms:
    """How far a student is from its teacher; all (B, D) float32.

    Returns:
        `imitate_mu`: mean squared error as a share of the teacher's variance over the batch;
        `imitate_embedding`: 1 - cosine; `imitate_pairs`: mean squared error of the similarities between the batch's
        pictures (Park et al. 2019, relational distillation), which is what search looks at. Scalars.
    """
    spread = wanted_mu.var(dim=0, unbiased=False).mean().clamp(min=1e-6)
    pairs = F.mse_loss(embedding @ embedding.T, wanted_embedding @ wanted_embedding.T)
    return {
        "imitate_mu": F.mse_loss(mu, wanted_mu) / spread,
        "imitate_embedding": 1 - (embedding * wanted_embedding).sum(1).mean(),
        "imitate_pairs": pairs,
    }


def distill(teacher_path: Path, config: TrainConfig, imitation: float = 1.0, say: Say = print) -> Path:
    """Train a student, compare it with its teacher, and return the path of the student's `model.ckpt`.

    Args:
        teacher_path: the teacher's checkpoint.
        config: the student's run; its latent and crops must be of the teacher's size.
        imitation: weight of the teacher's word beside the student's own objective.
        say: told a line at a time.

    Raises:
        ConfigError: latents or crops of another size than the teacher's.
        TrainingError: as in training.
    """
    teacher = EarVAE.load_from_checkpoint(teacher_path)
    for name, flag in (("latent_dim", "--latent-dim"), ("image_size_px", "--image-size")):
        own, theirs = getattr(config.model, name), getattr(teacher.config, name)
        if own != theirs:
            raise ConfigError(f"{flag} {own}: the teacher has {theirs}; a student takes its teacher's")
    made = partial(DistillModule, teacher=teacher, imitation=imitation)
    path = fit(config, say, made)
    report = compare(EarVAE.load_from_checkpoint(path), EarVAE.load_from_checkpoint(teacher_path), config)
    (config.out / REPORT).write_text(json.dumps(report, indent=1) + "\n")
    say(table(report))
    return path


def compare(student: EarVAE, teacher: EarVAE, config: TrainConfig) -> dict[str, Any]:
    """Quality kept against cost saved, on the validation pictures.

    Returns:
        For each of both `rank1` and `eer` (None where subjects are unknown), `parameters_m` (encoder, millions) and
        `pictures_per_s` (encoder, float32, batch 1, this machine), and the mean `cosine` of their embeddings.
    """
    prepared = prepare(replace(config, resume=None))
    precise = replace(config, precision="32")
    labels = prepared.val.labels.tolist()
    report: dict[str, Any] = {}
    embeddings = {}
    for name, model in (("student", student.cpu()), ("teacher", teacher.cpu())):
        mu = encode(model, prepared.val.dataset, precise)
        with torch.no_grad():
            embeddings[name] = model.identity(mu).double().numpy()
        report[name] = {
            **_identification(embeddings[name], labels),
            "parameters_m": sum(p.numel() for p in model.encoder.parameters()) / 1e6,
            "pictures_per_s": _speed(model, prepared.val.dataset.images(0, TIMED_PICTURES)),
        }
    report["cosine"] = float((embeddings["student"] * embeddings["teacher"]).sum(1).mean())
    report["val_pictures"] = len(labels)
    return report


def _identification(embedding: np.ndarray[Any, Any], labels: list[int]) -> dict[str, float | None]:
    try:
        scores = evaluate(embedding, labels)
    except MeasureError:  # subjects are unknown, or have one picture each
        return {"rank1": None, "eer": None}
    return {"rank1": scores.rank1, "eer": scores.eer}


@torch.no_grad()
def _speed(model: EarVAE, pictures: Tensor) -> float:
    images = to_unit(pictures)
    model.encoder(images[:1])
    start = time.perf_counter()
    for number in range(len(images)):
        model.encoder(images[number : number + 1])
    return len(images) / (time.perf_counter() - start)


def table(report: dict[str, Any]) -> str:
    """Markdown: teacher and student side by side."""
    titles = {"rank1": "rank-1", "eer": "EER", "parameters_m": "encoder (M)", "pictures_per_s": "pictures/s"}
    lines = ["| | " + " | ".join(titles.values()) + " |", "|" + "---|" * (len(titles) + 1)]
    for name in ("teacher", "student"):
        values = (report[name][key] for key in titles)
        lines.append(f"| {name} | " + " | ".join("-" if value is None else f"{value:.3f}" for value in values) + " |")
    return "\n".join([*lines, "", f"mean cosine of their embeddings: {report['cosine']:.4f}"])
