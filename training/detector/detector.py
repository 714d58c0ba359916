"""`EarDetector`: the teacher's encoder runs twice over a photo: coarse, where ears are; then fine, at each of them.

A plain module: knows no trainer, no loss, no file but its checkpoints. Importing it imports no lightning.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bundle.landmarks import LETTERBOX_PX
from training.detector.checkpoint import read_detector
from training.detector.config import DetectorConfig
from training.detector.features import features_at
from training.detector.heads import UNIT_PX, Coarse, CoarseStage, Fine, FineStage
from training.detector.zoom import square_around, zoom
from training.errors import CheckpointError
from training.networks.encoder import EarEncoder
from training.networks.vae import EarVAE

GPU_SIZED_PX = 448
"""SAM inputs from here on make the fine stage expensive: fewer places get it, and once."""


class Detections(NamedTuple):
    """What was found in B letterboxes, N candidates each, the coarse stage's order. Pixels of the letterbox."""

    boxes: Tensor
    """(B, N, 4) float32: x1, y1, x2, y2."""
    scores: Tensor
    """(B, N) float32, 0 to 1."""
    points: Tensor
    """(B, N, K, 2) float32: x, y."""
    visibilities: Tensor
    """(B, N, K) float32: probability that the landmark is seen rather than covered."""
    sides: Tensor
    """(B, N) float32: probability of a right ear."""


class EarDetector(nn.Module):
    """Box, landmarks, visibility and side of every ear in a photo.

    >>> detector = EarDetector.from_vae_checkpoint("runs/ears/model.ckpt")
    >>> square = letterbox(picture)                                         # bundle.landmarks; (H, W, 3) uint8
    >>> found = detector(torch.from_numpy(square.picture)[None])            # Detections, pixels of the square
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        encoder = EarEncoder(config.model)
        self.sam, self.blocks = encoder.sam, encoder.blocks
        shape = config.model.sam
        self.first = CoarseStage(shape.output_channels, config.channels)
        wide = config.channels * 3 // 2 // 8 * 8
        self.second = FineStage(
            shape.output_channels, config.model.block_channels[-1], shape.grid_side, wide, config.num_landmarks
        )
        self.train(self.training)

    @classmethod
    def from_vae_checkpoint(
        cls, checkpoint_path: str | Path, num_landmarks: int = 17, freeze_encoder: bool = False
    ) -> Self:
        """A detector whose encoder is a trained teacher's and whose heads are new.

        Args:
            checkpoint_path: a `.ckpt` written by `ear-teacher train`.
            num_landmarks: of each ear.
            freeze_encoder: let only the heads learn.

        Raises:
            CheckpointError: not a checkpoint of this project.
        """
        vae = EarVAE.load_from_checkpoint(checkpoint_path)
        large = vae.config.sam.image_size_px >= GPU_SIZED_PX
        ears, passes = (2, 1) if large else (4, 2)
        detector = cls(
            DetectorConfig(vae.config, num_landmarks, freeze_encoder=freeze_encoder, max_ears=ears, passes=passes)
        )
        detector.sam.load_state_dict(vae.encoder.sam.state_dict())
        detector.blocks.load_state_dict(vae.encoder.blocks.state_dict())
        return detector

    @classmethod
    def load_from_checkpoint(cls, path: str | Path, map_location: str | torch.device = "cpu") -> Self:
        """Load a trained detector, in evaluation mode.

        Args:
            path: `detector.ckpt`, written by `ear-teacher detector train`.
            map_location: the device to load onto.

        Raises:
            CheckpointError: not a detector's checkpoint, or its tensors do not fit its configuration.
        """
        checkpoint = read_detector(path, map_location)
        detector = cls(checkpoint.config)
        try:
            detector.load_state_dict(checkpoint.state_dict)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: its tensors do not fit its own configuration: {error}") from None
        return detector.to(map_location).eval()

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but a frozen encoder."""
        super().train(mode)
        if self.config.freeze_encoder:
            for part in (self.sam, self.blocks):
                part.requires_grad_(False).eval()
        return self

    def forward(self, pictures: Tensor) -> Detections:
        """Find ears.

        Args:
            pictures: (B, 640, 640, 3) uint8 RGB, letterboxed (`bundle.landmarks.letterbox`).
        """
        images = pictures.float().permute(0, 3, 1, 2) / 127.5 - 1.0
        return self.settle(images, self.coarse_stage(images))

    def settle(self, images: Tensor, coarse: Coarse) -> Detections:
        """From the coarse stage at (B, 3, 640, 640) float32 letterboxes in [-1, 1] to detections."""
        boxes, scores, right = self.propose(coarse)
        for _ in range(self.config.passes):
            squares = square_around(boxes, self.config.context)
            turned = (right > 0.5).float()
            fine = self.fine_stage(zoom(images, squares, turned, self.config.model.image_size_px).flatten(0, 1))
            boxes, points, right = place(fine, squares, turned)
        ears = torch.sigmoid(fine.ear).view_as(scores)
        visibilities = torch.sigmoid(fine.visible).view(*scores.shape, -1)
        return Detections(boxes, torch.sqrt(scores * ears), points, visibilities, right)

    def coarse_stage(self, images: Tensor) -> Coarse:
        """The coarse stage at (B, 3, H, H) float32 letterboxes in [-1, 1]."""
        coarse: Coarse = self.first(features_at(self.sam, images, self.config.coarse_px))
        return coarse

    def fine_stage(self, crops: Tensor) -> Fine:
        """The fine stage at (M, 3, S, S) float32 squares in [-1, 1], left orientation as far as known."""
        features = self.sam(crops)
        usual = -math.log(1 + 2 * self.config.context)
        fine: Fine = self.second(features, self.blocks(features), usual)
        return fine

    def propose(self, coarse: Coarse) -> tuple[Tensor, Tensor, Tensor]:
        """The `max_ears` highest peaks: boxes (B, N, 4) in pixels, scores (B, N), right-ear probabilities (B, N)."""
        heat = torch.sigmoid(coarse.heat)
        grid = heat.shape[-1]
        highest = F.max_pool2d(heat[:, None], 3, stride=1, padding=1)[:, 0]
        peaks = heat * (heat >= highest).to(heat.dtype)
        scores, cells = peaks.flatten(1).topk(self.config.max_ears, dim=1)
        values = torch.cat([coarse.offset, coarse.size, coarse.side[:, None]], dim=1).flatten(2)
        chosen = values.gather(2, cells[:, None].expand(-1, 5, -1)).transpose(1, 2)  # (B, N, 5)
        cell_px = LETTERBOX_PX / grid
        rows = torch.div(cells, grid, rounding_mode="floor")
        corner = torch.stack([cells - rows * grid, rows], dim=2).to(heat.dtype)
        centre = (corner + 0.5) * cell_px + chosen[..., :2] * UNIT_PX
        half = torch.exp(chosen[..., 2:4].clamp(-3.0, 3.0)) * (UNIT_PX / 2)
        return torch.cat([centre - half, centre + half], dim=2), scores, torch.sigmoid(chosen[..., 4])


def place(fine: Fine, squares: Tensor, turned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """From shares of squares to pixels of the picture, mirrored ones turned back.

    Args:
        fine: of M = B * N squares.
        squares: (B, N, 4) pixels.
        turned: (B, N) float, 1 where the square was mirrored.

    Returns:
        boxes (B, N, 4), points (B, N, K, 2), right-ear probabilities (B, N).
    """
    batch, count = turned.shape
    start, extent = squares[..., :2], squares[..., 2:] - squares[..., :2]
    points = fine.points.view(batch, count, -1, 2)
    boxes_out = fine.box.view(batch, count, 4)
    centre, size = boxes_out[..., :2], boxes_out[..., 2:]
    half = torch.exp(size.clamp(-3.0, 0.5)) / 2
    places = torch.cat([points, centre[:, :, None]], dim=2)
    sign, shift = 1 - 2 * turned, turned
    x = places[..., 0] * sign[..., None] + shift[..., None]
    places = torch.stack([x, places[..., 1]], dim=3) * extent[:, :, None] + start[:, :, None]
    half = half * extent
    boxes = torch.cat([places[:, :, -1] - half, places[:, :, -1] + half], dim=2)
    wrong = torch.sigmoid(fine.mirrored).view(batch, count)
    return boxes, places[:, :, :-1], turned * (1 - wrong) + (1 - turned) * wrong
