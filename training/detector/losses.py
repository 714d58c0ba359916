"""What the two stages are to say, and how far they are from it. Landmark terms are `training.losses.landmark`'s."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from bundle.landmarks import LETTERBOX_PX
from training.detector.heads import UNIT_PX, Coarse, Fine
from training.losses.landmark import heatmap, landmark

Terms = dict[str, Tensor]

WIDTH = 0.12
"""Standard deviation of the heat around an ear's centre, as a share of the box's width and height."""
LEAST_CELLS = 0.6
NEAR = 0.3
"""Cells with at least this much heat are taught box and side, not only the centre's own (Liu et al. 2020, TTFNet)."""
BOX_BETA = 0.05
HEAT_SHARE = 0.3


def target_heat(boxes: Tensor, present: Tensor, grid: int) -> Tensor:
    """A Gaussian around each ear's centre, 1 in the cell that holds it: (B, E, 4), (B, E) -> (B, E, grid, grid)."""
    cell_px = LETTERBOX_PX / grid
    centre, size = (boxes[..., :2] + boxes[..., 2:]) / (2 * cell_px), (boxes[..., 2:] - boxes[..., :2]) / cell_px
    nearest = centre.floor().clamp(0, grid - 1)
    cells = torch.arange(grid, device=boxes.device)
    spread = (size * WIDTH).clamp(min=LEAST_CELLS)
    away = ((cells - nearest[..., None]) / spread[..., None]) ** 2 / 2  # (B, E, 2, grid)
    heat = torch.exp(-(away[:, :, 0, None, :] + away[:, :, 1, :, None]))
    return heat * present[:, :, None, None]


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Penalty-reduced focal loss of CornerNet (Law & Deng 2018, equation 1), per ear. Both (B, G, G); a scalar."""
    chance = torch.sigmoid(logits)
    centre = target >= 1
    hit = -((1 - chance) ** 2) * F.logsigmoid(logits)
    miss = -((1 - target) ** 4) * chance**2 * F.logsigmoid(-logits)
    return torch.where(centre, hit, miss).sum() / centre.sum().clamp(min=1)


def coarse_terms(outputs: Coarse, boxes: Tensor, right: Tensor, present: Tensor) -> Terms:
    """Of the coarse stage. boxes (B, E, 4) in pixels of the letterbox, right and present (B, E)."""
    grid = outputs.heat.shape[-1]
    each = target_heat(boxes, present, grid)
    heat, owner = each.max(dim=1)  # (B, G, G): whose ear a cell belongs to
    rows = owner.flatten(1)
    mine = boxes.gather(1, rows[..., None].expand(-1, -1, 4)).transpose(1, 2).reshape(-1, 4, grid, grid)
    weight = torch.where(heat >= NEAR, heat, 0.0)
    total = weight.sum().clamp(min=1e-6)
    cells = (torch.arange(grid, device=boxes.device) + 0.5) * (LETTERBOX_PX / grid)
    here = torch.stack(torch.meshgrid(cells, cells, indexing="xy"))  # (2, G, G): x, y
    size = (mine[:, 2:] - mine[:, :2]).clamp(min=1)
    offset = ((mine[:, :2] + mine[:, 2:]) / 2 - here) / UNIT_PX
    # An offset counts as a share of the ear, as its size does.
    near = F.smooth_l1_loss(outputs.offset * UNIT_PX / size, offset * UNIT_PX / size, beta=BOX_BETA, reduction="none")
    large = F.smooth_l1_loss(outputs.size, torch.log(size / UNIT_PX), beta=BOX_BETA, reduction="none")
    turned = F.binary_cross_entropy_with_logits(
        outputs.side, right.gather(1, rows).view_as(outputs.side), reduction="none"
    )
    return {
        "first_heat": focal(outputs.heat, heat),
        "first_box": ((near + large).sum(1) * weight).sum() / total,
        "first_side": (turned * weight).sum() / total,
    }


def fine_terms(outputs: Fine, points: Tensor, weights: Tensor, visible: Tensor, labels: Tensor) -> Terms:
    """Of the fine stage.

    Args:
        outputs: of M squares.
        points: (M, K + 4, 2), landmarks and the middles of the box's edges, shares of the side.
        weights, visible: (M, K).
        labels: (M, 3): mirrored, is an ear, whether `mirrored` is known.
    """
    places, axes = points[:, :-4], points[:, -4:]
    mirrored, ear, oriented = labels.unbind(1)
    has_weight = (weights > 0).float()
    seen = F.binary_cross_entropy_with_logits(outputs.visible, visible, reduction="none")
    box = F.smooth_l1_loss(outputs.box, target_box(axes), beta=BOX_BETA, reduction="none").sum(1)
    turned = F.binary_cross_entropy_with_logits(outputs.mirrored, mirrored, reduction="none")
    return {
        "landmark": landmark(outputs.points, places, weights),
        "heat": HEAT_SHARE * heatmap(outputs.heat, places, weights),
        "visible": (seen * has_weight).sum() / has_weight.sum().clamp(min=1),
        "box": (box * ear).sum() / ear.sum().clamp(min=1),
        "mirrored": (turned * oriented).sum() / oriented.sum().clamp(min=1),
        "ear": F.binary_cross_entropy_with_logits(outputs.ear, ear),
    }


def target_box(axes: Tensor) -> Tensor:
    """The box around the ellipse whose axes end at these points: (M, 4, 2) -> (M, 4) centre, log width, log height."""
    left, right, top, bottom = axes.unbind(1)
    across, down = (right - left) / 2, (bottom - top) / 2
    half = torch.sqrt(across**2 + down**2).clamp(min=1e-3)
    return torch.cat([axes.mean(1), torch.log(2 * half)], dim=1)
