"""Trains the two landmark networks of an embedding branch on photo-like crops of rendered ears.

The crops are made once and jittered anew in every step, because making them costs more than a step of these networks.
The mean ear comes from generalised Procrustes analysis (Gower 1975). Knows no files and no people.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.embedding.branch import EMBEDDING, EarBranch
from training.embedding.landmark_net import INPUT_PX, LANDMARKS, LandmarkNet
from training.embedding.rendered import Rendered
from training.embedding.similarity import compose, similarity, warp
from training.errors import ConfigError

logger = logging.getLogger(__name__)

BOX_SCALE = 0.82
"""Half the side of a box over half the mean ear's frame: the view that is used where landmarks are in doubt."""
MEAN_EAR_HEIGHT = 1.5
"""Height of the mean ear's landmarks in a frame of height 2: room for what the landmarks do not reach."""
MEAN_EAR_FORWARD = 0.03
"""The mean ear stands so far before the middle of its frame."""
PROCRUSTES_ROUNDS = 10
WARM_UP = 100
_OF_PROJECTION = ("project.", "centre")
STATISTICS = 256
"""Crops that batch norms take their first statistics from, where training goes on from other networks."""
LOG_EVERY = 100


@dataclass(frozen=True)
class AlignerConfig:
    """How long and how the landmark networks are trained."""

    steps: int = 4000
    minutes: float | None = None
    """Ends earlier when this time is over; the learning rate falls accordingly."""
    batch: int = 64
    rounds: int = 4
    """Photo-like crops made of each render."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    averaging: float = 0.995
    """Decay of the running mean of the weights, which is what is kept."""
    coarse_jitter: tuple[float, float, float] = (0.16, 0.12, 0.06)
    """Standard deviations of turn (radians), zoom (natural log) and shift (half sides) of a crop."""
    fine_jitter: tuple[float, float, float] = (0.12, 0.09, 0.06)
    """The same around the true alignment, for the network that sees aligned ears."""
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.steps, self.batch - 1, self.rounds) < 1:
            raise ConfigError(
                f"--steps {self.steps}, batch {self.batch}, --rounds {self.rounds}: at least 1, 2 and 1 are needed"
            )
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"--learning-rate {self.learning_rate}: must lie between 0 and 1")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"--minutes {self.minutes}: must be above 0")


def fit_aligner(
    rendered: Rendered, config: AlignerConfig, dim: int = EMBEDDING, start: EarBranch | None = None
) -> EarBranch:
    """A branch with trained landmark networks and a projection that is still random.

    Args:
        rendered: ears with landmarks.
        config: how long.
        dim: length of its embeddings.
        start: whose networks and mean ear to go on from; None: random ones.
    """
    torch.manual_seed(config.seed)
    branch = EarBranch(dim)
    if start is None:
        branch.mean_ear.copy_(torch.from_numpy(mean_ear(rendered.landmarks.numpy())))
        branch.box_theta.copy_(torch.tensor([[BOX_SCALE, 0.0, 0.0], [0.0, BOX_SCALE, 0.0]]))
    else:
        kept = {name: value for name, value in start.state_dict().items() if not name.startswith(_OF_PROJECTION)}
        branch.load_state_dict(kept, strict=False)
    logger.info("making %d photo-like crops", config.rounds * len(rendered.people))
    crops = rendered.crops(config.rounds, config.seed)
    if start is not None:
        _renew_statistics(branch, crops.grey[:: max(1, len(crops.grey) // STATISTICS)].float() / 255)
    _train(branch, crops.grey, crops.landmarks, config)
    return branch.eval().requires_grad_(False)


def _train(branch: EarBranch, grey: Tensor, landmarks: Tensor, config: AlignerConfig) -> None:
    """Train `branch.coarse` on whole crops and `branch.fine` on roughly aligned ones.

    grey: (M, 1, 128, 128) uint8. landmarks: (M, 17, 2) shares of the side.
    """
    random = torch.Generator().manual_seed(config.seed)
    coarse, fine = _NetTrainer(branch.coarse, config), _NetTrainer(branch.fine, config)
    even = torch.ones(config.batch, LANDMARKS)
    start = time.monotonic()
    for step in range(config.steps):
        spent = (time.monotonic() - start) / 60 / config.minutes if config.minutes else 0.0
        if spent >= 1 and step:
            logger.info("time is over after %d of %d steps", step, config.steps)
            break
        progress = max(step / config.steps, min(spent, 1.0))
        warm = min(1.0, (step + 1) / WARM_UP)
        rate = config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * progress)) + 1e-6
        rows = torch.randint(len(grey), (config.batch,), generator=random)
        pictures, places = grey[rows].float() / 255, landmarks[rows] * 2 - 1
        view = jittered(config.batch, config.coarse_jitter, random)
        first = coarse.step(F.avg_pool2d(pictures, 2), view, places, rate)
        view = jittered(config.batch, config.fine_jitter, random)
        second = fine.step(pictures, compose(similarity(places, branch.mean_ear, even), view), places, rate)
        if step % LOG_EVERY == 0:
            logger.info("step %d: error %.4f coarse, %.4f fine (|dx| + |dy|, shares of the view)", step, first, second)
    branch.coarse.load_state_dict(coarse.mean.module.state_dict())
    branch.fine.load_state_dict(fine.mean.module.state_dict())


@torch.inference_mode()
def _renew_statistics(branch: EarBranch, grey: Tensor) -> None:
    """Give each batch norm the statistics of `grey` without changing what the networks compute.

    A bundle holds its norms folded into the convolutions: with their true statistics training goes on where it ended,
    with none the first steps would rescale every layer. grey: (B, 1, 128, 128) float32.
    """

    def renew(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None:
            variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias.add_(gain * (mean - norm.running_mean))
            norm.weight.copy_(gain * (variance + norm.eps).sqrt())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)

    branch.eval()
    hooks = [norm.register_forward_pre_hook(renew) for norm in branch.modules() if isinstance(norm, nn.BatchNorm2d)]
    branch.locate(grey)
    for hook in hooks:
        hook.remove()


class _NetTrainer:
    """One landmark network with its optimizer and the running mean of its weights."""

    def __init__(self, net: LandmarkNet, config: AlignerConfig) -> None:
        self.net = net.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        averaging = get_ema_multi_avg_fn(config.averaging)  # type: ignore[no-untyped-call]
        self.mean = AveragedModel(net, multi_avg_fn=averaging, use_buffers=True)

    def step(self, grey: Tensor, view: Tensor, landmarks: Tensor, rate: float) -> float:
        """Learn from `grey` seen through `view`; landmarks: (B, 17, 2) in [-1, 1]. Returns the mean error."""
        inverse = torch.linalg.inv(view[:, :, :2])
        target = ((landmarks - view[:, None, :, 2]) @ inverse.transpose(1, 2) + 1) / 2
        with torch.autocast("cpu", torch.bfloat16):
            places, spreads = self.net(warp(grey, view, INPUT_PX, INPUT_PX))
        error = (places - target).abs().sum(-1)
        loss = (error / spreads + 2 * spreads.log()).mean()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.mean.update_parameters(self.net)
        return float(error.detach().mean())


def jittered(count: int, jitter: tuple[float, float, float], random: torch.Generator) -> Tensor:
    """(B, 2, 3) similarities near the identity; jitter: see `AlignerConfig.coarse_jitter`."""
    turn, zoom, shift = jitter
    angle = torch.randn(count, generator=random) * turn
    scale = torch.exp(torch.randn(count, generator=random) * zoom)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    matrix = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
    return torch.cat([matrix, torch.randn(count, 2, 1, generator=random) * shift], 2)


def mean_ear(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The Procrustes mean of (N, K, 2) x, y in any unit, heads upright on average -> (K, 2) in [-1, 1]."""
    places = landmarks[..., 0].astype(np.complex128) + 1j * landmarks[..., 1]
    places -= places.mean(1, keepdims=True)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    mean = places[0]
    for _ in range(PROCRUSTES_ROUNDS):
        mean = (places / _turns(places, mean)[:, None]).mean(0)
        mean /= np.linalg.norm(mean)
    mean = mean * np.exp(1j * np.angle(_turns(places, mean).mean()))
    points = np.stack([mean.real, mean.imag], 1)
    points *= MEAN_EAR_HEIGHT / np.ptp(points[:, 1])
    return np.asarray(points - (points.max(0) + points.min(0)) / 2 - [MEAN_EAR_FORWARD, 0.0], np.float32)


def _turns(places: NDArray[np.complex128], mean: NDArray[np.complex128]) -> NDArray[np.complex128]:
    product = (places * mean.conj()).sum(1)
    return np.asarray(product / abs(product))
