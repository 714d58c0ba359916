"""How well pictures come back from the latent, beside what principal components of the pixels would give."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.model import Encoding
from measure.bootstrap import bootstrap
from measure.errors import MeasureError
from measure.picture import psnr, ssim
from training.config import LossWeights
from training.data.dataset import to_unit
from training.losses.kl import kl
from training.losses.objective import Objective
from training.losses.perceptual import Vgg16Features

Crops = NDArray[np.uint8]
CHUNK = 64


def quality(crops: Crops, reconstructions: Crops) -> dict[str, Any]:
    """Mean PSNR (dB) and SSIM over the pictures. Both (N, S, S, 3) uint8."""
    return {"psnr_db": float(psnr(crops, reconstructions).mean()), "ssim": float(ssim(crops, reconstructions).mean())}


def quality_with_intervals(crops: Crops, reconstructions: Crops, subjects: list[Any], samples: int) -> dict[str, Any]:
    """`quality` plus 95 % intervals over subjects."""
    columns = {"psnr_db": psnr(crops, reconstructions), "ssim": ssim(crops, reconstructions)}
    figures: dict[str, Any] = {name: float(values.mean()) for name, values in columns.items()}
    try:
        intervals = bootstrap(
            subjects,
            lambda counts: {name: float(np.average(values, weights=counts)) for name, values in columns.items()},
            samples=samples,
        )
        figures["intervals"] = {name: [i.low, i.high] for name, i in intervals.items()}
    except MeasureError:  # a single subject has no spread
        pass
    return figures


@torch.no_grad()
def terms(
    crops: Crops, reconstructions: Crops, encoding: Encoding, weights: LossWeights, vgg: Vgg16Features | None
) -> dict[str, float]:
    """Mean of each term of the training objective over the pictures, unweighted, and their weighted sum as `loss`.

    The terms of identity and landmarks belong to training and are not among them.
    """
    objective = Objective(weights, vgg)
    parts: dict[str, list[torch.Tensor]] = {}
    for start in range(0, len(crops), CHUNK):
        pair = (to_unit(torch.from_numpy(part[start : start + CHUNK])) for part in (reconstructions, crops))
        for name, values in objective.compare_each(*pair).items():
            parts.setdefault(name, []).append(values)
    means = {name: torch.cat(values).mean() for name, values in parts.items() if name not in ("psnr", "similarity")}
    means["kl"] = kl(torch.from_numpy(encoding.mu), torch.from_numpy(encoding.logvar))
    return {"loss": float(objective.total(means)), **{name: float(value) for name, value in means.items()}}
