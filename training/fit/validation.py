"""What validation found: joined over devices picture by picture, then averaged.

Values are kept per picture until the end, so that any number of devices gives the figures that one would give.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from measure.errors import MeasureError
from measure.protocol import evaluate
from training.config import TrainConfig
from training.losses.contrastive import contrastive
from training.losses.objective import Objective


class Validated(NamedTuple):
    """The validation pictures, in the order of their data set."""

    values: dict[str, Tensor]
    """(N,) each: `psnr` (dB), `similarity` (SSIM), and every term of the objective."""
    mu: Tensor
    """(N, D) float32."""
    embedding: Tensor
    """(N, D) float32 of unit length."""
    labels: Tensor
    """(N,) int64: equal for pictures of one subject."""


def join(columns: dict[str, Tensor]) -> Validated:
    """Sort by index and drop repeats. `columns` holds (M, ...) tensors, M >= N, among them `index`."""
    order = torch.argsort(columns["index"], stable=True)
    index = columns["index"][order]
    order = order[torch.cat([torch.ones(1, dtype=torch.bool, device=index.device), index[1:] != index[:-1]])]
    values = {name: column[order] for name, column in columns.items() if name != "index"}
    mu, embedding, labels = (values.pop(name) for name in ("mu", "embedding", "label"))
    return Validated(values, mu, embedding, labels)


def figures(validated: Validated, objective: Objective, run: TrainConfig) -> dict[str, Tensor]:
    """Means over all pictures, the weighted loss, and identification where subjects are known; float32 scalars.

    `ssim` is the similarity itself, higher is better; the objective's term is `ssim_loss`.
    """
    means = {name: column.mean() for name, column in validated.values.items()}
    if run.losses.contrastive > 0:
        means["contrastive"] = contrastive(validated.embedding, validated.labels, run.temperature)
    named = {"loss": objective.total(means), **means}
    if "ssim" in named:
        named["ssim_loss"] = named.pop("ssim")
    named["ssim"] = named.pop("similarity")
    return {**named, **identification(validated)}


def identification(validated: Validated) -> dict[str, Tensor]:
    """Rank-1 and EER by `measure.protocol`; empty where too few pictures share a subject."""
    try:
        scores = evaluate(validated.embedding.cpu().numpy(), validated.labels.tolist())
    except MeasureError:
        return {}
    return {"rank1": torch.tensor(scores.rank1), "eer": torch.tensor(scores.eer)}
