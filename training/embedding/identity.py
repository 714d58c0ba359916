"""Trains the identity network of an embedding branch on photo-like crops of rendered people that the branch aligned.

Each person is a class of a softmax over cosines with an additive margin (CosFace, Wang et al. 2018). Aligning and
describing cost more than a step of the network, so that crops, and a few jittered views of each, are made once; steps
cover, shade and weigh their cells anew. Knows no files.
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

from training.embedding.branch import HEIGHT_PX, IDENTITY_SHARE, WIDTH_PX, EarBranch
from training.embedding.identity_net import GRID, IdentityNet, fused
from training.embedding.oriented_gradients import FINE_CLIP, ORIENTATIONS
from training.embedding.rendered import Rendered
from training.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

DESCRIBED = 128
"""Crops that are aligned and described at once."""
WARM_UP = 0.03
"""Share of the training over which the learning rate rises."""
DROPOUT = 0.3
LOG_EVERY = 100


@dataclass(frozen=True)
class IdentityConfig:
    """How long and how the identity network is trained."""

    steps: int = 6000
    minutes: float | None = None
    """Ends earlier when this time is over; the learning rate falls accordingly."""
    batch: int = 128
    rounds: int = 4
    """Photo-like crops made of each render."""
    views: int = 4
    """Jittered views of each crop that are kept: 4.6 kB each."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    scale: float = 24.0
    margin: float = 0.2
    """Taken from the cosine to the right person."""
    smoothing: float = 0.05
    turn_deg: float = 5.0
    """Standard deviations of a view: turn; zoom and stretch (natural log); shift (half sides)."""
    zoom: float = 0.05
    stretch: float = 0.11
    shift: float = 0.03
    seed: int = 3

    def __post_init__(self) -> None:
        if min(self.steps, self.batch - 1, self.rounds, self.views) < 1:
            raise ConfigError(
                f"--steps {self.steps}, batch {self.batch}, --rounds {self.rounds}, --views {self.views}: at least 1, "
                "2, 1 and 1 are needed"
            )
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"--learning-rate {self.learning_rate}: must lie between 0 and 1")
        if self.minutes is not None and self.minutes <= 0:
            raise ConfigError(f"--minutes {self.minutes}: must be above 0")


def fit_identity(branch: EarBranch, rendered: Rendered, config: IdentityConfig) -> EarBranch:
    """A branch with the landmark networks of `branch`, a trained identity network and a projection still random.

    Raises:
        DataError: fewer than two people.
    """
    people, numbers = np.unique(np.array(rendered.people * config.rounds), return_inverse=True)
    if len(people) < 2:
        raise DataError(f"{len(people)} people: at least 2 are needed to tell people apart")
    torch.manual_seed(config.seed)
    random = torch.Generator().manual_seed(config.seed)
    logger.info("making %d views of %d people", len(numbers) * config.views, len(people))
    crops = rendered.crops(config.rounds, config.seed)
    cells = views_of(branch, crops.grey, config, random)
    dim = branch.project.out_features
    learned = EarBranch(dim, has_identity=True)
    kept = {name: value for name, value in branch.state_dict().items() if name not in ("project.weight", "centre")}
    learned.load_state_dict(kept, strict=False)
    learned.identity = _train(cells, torch.from_numpy(numbers), dim // IDENTITY_SHARE, config, random)
    return learned.eval().requires_grad_(False)


@torch.inference_mode()
def views_of(branch: EarBranch, grey: Tensor, config: IdentityConfig, random: torch.Generator) -> NDArray[np.uint8]:
    """(M, 1, 128, 128) uint8 crops -> the cells of their jittered views, (views, M, 12, 24, 16) uint8."""
    made = np.empty((config.views, len(grey), ORIENTATIONS, *GRID), np.uint8)
    for start in range(0, len(grey), DESCRIBED):
        crops = grey[start : start + DESCRIBED].float() / 255
        theta = branch.locate(crops).theta
        for number in range(config.views):
            seen = photographed(branch, crops, theta, config, random)
            cells = branch.fine_cells(branch.votes(seen))
            made[number, start : start + DESCRIBED] = (cells * (255 / FINE_CLIP)).round().to(torch.uint8).numpy()
    return made


def photographed(
    branch: EarBranch, crops: Tensor, theta: Tensor, config: IdentityConfig, random: torch.Generator
) -> Tensor:
    """Aligned pictures (B, 1, 96, 64), each a little off, some of low resolution, some partly covered."""
    count = len(crops)
    aligned = branch.aligned(crops, theta @ jitter(count, config, random), branch.looks[0])
    low = F.interpolate(F.avg_pool2d(aligned, 2), size=(HEIGHT_PX, WIDTH_PX), mode="bilinear")
    aligned = torch.where(_chosen(count, 0.3, random), low, aligned)
    noise = 0.1 * torch.randn(aligned.shape, generator=random)
    cover = 0.6 * torch.rand(count, 1, 1, 1, generator=random) + noise
    area = _rectangle(count, HEIGHT_PX, WIDTH_PX, 0.62, random) & _chosen(count, 0.4, random)
    return torch.where(area, cover, aligned)


def jitter(count: int, config: IdentityConfig, random: torch.Generator) -> Tensor:
    """(B, 3, 3): affine maps near the identity, for a frame of the aligned picture's sides."""
    turn, zoom, across, right, down = torch.randn(5, count, generator=random)
    angle = math.radians(config.turn_deg) * turn
    wide = torch.exp(config.zoom * zoom + config.stretch * 0.73 * across)
    tall = torch.exp(config.zoom * zoom - config.stretch * 0.27 * across)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros(count)
    first = torch.stack([cos * wide, -sin * tall, config.shift * right], 1)
    second = torch.stack([sin * wide, cos * tall, config.shift * down], 1)
    return torch.stack([first, second, torch.stack([none, none, none + 1], 1)], 1)


def _train(
    views: NDArray[np.uint8], numbers: Tensor, dim: int, config: IdentityConfig, random: torch.Generator
) -> IdentityNet:
    """views: (V, M, 12, 24, 16) uint8; numbers: (M,) whose each is."""
    net = IdentityNet(dim, normalised=True).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    norm, dropout = nn.BatchNorm1d(dim, affine=False), nn.Dropout(DROPOUT)
    head, net.head = net.head, nn.Identity()
    people = nn.Parameter(0.01 * torch.randn(int(numbers.max()) + 1, dim))
    weights = [weight for weight in (*net.parameters(), head.weight) if weight.ndim > 1]
    others = [weight for weight in (*net.parameters(), head.bias) if weight.ndim == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
            {"params": [people], "weight_decay": 0.01},
        ],
        config.learning_rate,
    )
    start = time.monotonic()
    for step in range(config.steps):
        spent = (time.monotonic() - start) / 60 / config.minutes if config.minutes else 0.0
        if spent >= 1 and step:
            logger.info("time is over after %d of %d steps", step, config.steps)
            break
        progress = max(step / config.steps, min(spent, 1.0))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * min(1.0, progress / WARM_UP + 0.02) * _falling(progress)
        rows = torch.randint(len(numbers), (config.batch,), generator=random)
        view = int(torch.randint(len(views), (1,), generator=random))
        cells = covered(torch.from_numpy(views[view, rows.numpy()]).float() * (FINE_CLIP / 255), random)
        with torch.autocast("cpu", torch.bfloat16):
            body = net(cells.contiguous(memory_format=torch.channels_last))
        embedding = F.normalize(norm(head(dropout(body.float()))))
        cosine = embedding @ F.normalize(people).T
        target = numbers[rows]
        cosine = cosine - config.margin * F.one_hot(target, len(people))
        loss = F.cross_entropy(config.scale * cosine, target, label_smoothing=config.smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([*weights, *others], 5.0)
        optimizer.step()
        if step % LOG_EVERY == 0:
            logger.info("step %d: loss %.3f", step, float(loss.detach()))
    net.head = head
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    return fused(net, mean, variance, norm.eps)


def covered(cells: Tensor, random: torch.Generator) -> Tensor:
    """Cells (B, 12, 24, 16), half of them with a part of another ear; each direction and place has its own gain."""
    count = len(cells)
    area = _rectangle(count, *GRID, 0.6, random) & _chosen(count, 0.5, random)
    cells = torch.where(area, cells[torch.randperm(count, generator=random)], cells)
    direction = torch.exp(0.15 * torch.randn(count, ORIENTATIONS, 1, 1, generator=random))
    place = torch.exp(0.15 * torch.randn(count, 1, GRID[0] // 4, GRID[1] // 4, generator=random))
    return cells * direction * place.repeat_interleave(4, 2).repeat_interleave(4, 3)


def _falling(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))


def _chosen(count: int, share: float, random: torch.Generator) -> Tensor:
    """(B, 1, 1, 1) bool."""
    return torch.rand(count, 1, 1, 1, generator=random) < share


def _rectangle(count: int, height: int, width: int, most: float, random: torch.Generator) -> Tensor:
    """(B, 1, height, width) bool: a rectangle of up to `most` of each side, around any place."""
    y, x, half_y, half_x = torch.rand(4, count, 1, 1, 1, generator=random)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    within_rows: Tensor = (rows - y * height).abs() < half_y * height * most / 2
    within_columns: Tensor = (columns - x * width).abs() < half_x * width * most / 2
    return within_rows & within_columns
