"""Ear crops -> unit-length embeddings that carry over to photographs: align, describe by oriented gradients, project.

A branch of the encoder beside mu: it sees grey only, so neither skin tone nor white balance reaches the vector. Learned
on renders: the two landmark networks (`training.embedding.aligner`), the identity network
(`training.embedding.identity`) and the projection (`training.embedding.adapt`). Knows no labels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.durable_files import replacing
from training.checkpoint import read_torch
from training.data.trained_on import TrainedOn
from training.embedding.identity_net import IdentityNet
from training.embedding.landmark_net import INPUT_PX, LANDMARKS, LandmarkNet
from training.embedding.oriented_gradients import CELL_PX, ORIENTATIONS, OrientedCells, Votes, fine_cells
from training.embedding.similarity import compose, similarity, through, warp, within
from training.errors import CheckpointError

EMBEDDING = 1024
WIDTH_PX, HEIGHT_PX = 64, 96
"""The aligned picture that is described: an ear and little of the hair before and the skin behind it."""
REACH = (0.62, 0.93)
"""Half its width and height, in units of the mean ear's frame."""
LOOKS = ((0.0, 1.0, 1.0), (0.0, 0.88, 1.0), (0.0, 1.13, 1.0))
"""Turn (degrees), stretch across, stretch down: aligned pictures whose descriptions are averaged; first as it is."""
CELLS = ORIENTATIONS * (WIDTH_PX // CELL_PX) * (HEIGHT_PX // CELL_PX)
FEATURES = CELLS + 2 * LANDMARKS
"""Numbers of a description, but for those of the identity network."""
IDENTITY_SHARE = 4
"""One number of an embedding in so many is the identity network's."""
SHAPE_WEIGHT = 8.0
"""How much the landmarks' own shape counts beside the gradients, before the projection weighs both."""
GEOMETRY = {"looks": [list(look) for look in LOOKS], "reach": list(REACH), "size_px": [WIDTH_PX, HEIGHT_PX]}
"""What a saved branch must have been learned with, besides the layers."""
DOUBT = 0.12
"""Expected error of a landmark (share of the crop's side) at which the box counts as much as the landmarks."""


class Located(NamedTuple):
    """Where the ears are in B crops."""

    theta: Tensor
    """(B, 2, 3): the similarity from the mean ear's frame to the crop, in [-1, 1]."""
    landmarks: Tensor
    """(B, 17, 2) x, y as shares of the crop's side."""
    spread: Tensor
    """(B,): expected error of a landmark (geometric mean of the 17), as a share of the crop's side."""


class EarBranch(nn.Module):
    """(B, 128, 128, 3) uint8 RGB in left orientation -> (B, D) float32 of unit length.

    Args:
        dim: D, at most `FEATURES`.
        has_identity: whether there is an identity network, of D / 4 outputs.
    """

    mean_ear: Tensor
    """(17, 2): the mean ear, x, y in [-1, 1]."""
    box_theta: Tensor
    """(2, 3): the similarity of an ear that fills its box as most do; what is fallen back to."""
    looks: Tensor
    """(L, 2, 3) inside the mean ear's frame."""
    centre: Tensor
    """(F,): mean description of photo-like renders."""

    def __init__(self, dim: int = EMBEDDING, has_identity: bool = False) -> None:
        super().__init__()
        self.coarse, self.fine = LandmarkNet(), LandmarkNet()
        self.votes, self.cells, self.fine_cells = Votes(), OrientedCells(), fine_cells()
        self.identity = IdentityNet(dim // IDENTITY_SHARE) if has_identity else None
        features = FEATURES + (dim // IDENTITY_SHARE if has_identity else 0)
        self.project = nn.Linear(features, dim, bias=False)
        self.register_buffer("mean_ear", torch.zeros(LANDMARKS, 2))
        self.register_buffer("box_theta", torch.zeros(2, 3))
        self.register_buffer("looks", look_thetas(), persistent=False)
        self.register_buffer("centre", torch.zeros(features))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 128, 128, 3) uint8 RGB, or the same numbers as float32 -> (B, D) float32, unit length."""
        return self.embed(images)[0]

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, D) float32 of unit length, and spreads (B,) float32, of crops as `forward` takes them.

        A spread is the expected error of a landmark as a share of the crop's side: small on ears, larger on what is
        none; of a crop and its mirror image, the one with the smaller spread is likely the left ear.
        """
        grey = to_grey(images)
        located = self.locate(grey)
        vectors = self.project(self.describe(grey, located) - self.centre)
        return F.normalize(vectors, eps=1e-6), located.spread

    def locate(self, grey: Tensor) -> Located:
        """(B, 1, 128, 128) in [0, 1] -> the ears' places: a first guess, looked at again in its own frame."""
        places, spreads = self.coarse(F.avg_pool2d(grey, grey.shape[-1] // INPUT_PX))
        theta = self._trust(similarity(places * 2 - 1, self.mean_ear, 1 / spreads), spreads)
        places, spreads = self.fine(warp(grey, theta, INPUT_PX, INPUT_PX))
        places = through(theta, places * 2 - 1)
        scale = (theta[:, 0, 0] * theta[:, 0, 0] + theta[:, 1, 0] * theta[:, 1, 0] + 1e-6).sqrt()
        spreads = spreads * scale[:, None]
        theta = self._trust(similarity(places, self.mean_ear, 1 / spreads), spreads)
        return Located(theta, (places + 1) / 2, spreads.log().mean(1).exp())

    def describe(self, grey: Tensor, located: Located) -> Tensor:
        """Oriented gradients of the aligned ear, mean of the looks, the shape of its landmarks, and what the identity
        network says: (B, F)."""
        votes = [self.votes(self.aligned(grey, located.theta, look)) for look in self.looks]
        cells = torch.stack([self.cells(one).flatten(1) for one in votes]).mean(0)
        places = within(located.theta, located.landmarks * 2 - 1) - self.mean_ear
        parts = [cells, SHAPE_WEIGHT * places.flatten(1)]
        if self.identity is not None:
            parts.append(self.identity(self.fine_cells(votes[0])))
        return torch.cat(parts, 1)

    def aligned(self, grey: Tensor, theta: Tensor, look: Tensor) -> Tensor:
        """The part of the mean ear's frame that `look` (2, 3) shows, (B, 1, 96, 64)."""
        return warp(grey, compose(theta, look[None]), HEIGHT_PX, WIDTH_PX)

    def _trust(self, theta: Tensor, spreads: Tensor) -> Tensor:
        """Lean towards the box's frame where the landmarks are in doubt."""
        doubt = spreads.log().mean(1).exp() / DOUBT
        share = (1 / (1 + doubt * doubt * doubt * doubt))[:, None, None]
        return share * theta + (1 - share) * self.box_theta


def to_grey(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 RGB -> (B, 1, H, W) float32 in [0, 1]: luma of ITU-R BT.601."""
    red, green, blue = images.float().unbind(3)
    return ((0.299 * red + 0.587 * green + 0.114 * blue) / 255)[:, None]


def look_thetas() -> Tensor:
    """(L, 2, 3): the part of the mean ear's frame that each look shows."""
    rows = []
    for turn_deg, across, down in LOOKS:
        cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
        x, y = REACH[0] * across, REACH[1] * down
        rows.append([[cos * x, -sin * y, 0.0], [sin * x, cos * y, 0.0]])
    return torch.tensor(rows)


class SavedBranch(NamedTuple):
    """A branch, and what goes with it into a file, a checkpoint or a bundle."""

    branch: EarBranch
    """float32, in evaluation mode."""
    facts: dict[str, Any]
    """What it was learned on, plain values."""
    trained_on: TrainedOn | None
    """None: it does not say."""


def pack_branch(branch: EarBranch, facts: Mapping[str, Any], trained_on: TrainedOn | None = None) -> dict[str, Any]:
    """What `torch.save` writes: tensors in half precision; geometry, facts and record as JSON."""
    state = {name: value.half() if value.is_floating_point() else value for name, value in branch.state_dict().items()}
    shape = {"dim": branch.project.out_features, "has_identity": branch.identity is not None}
    content = {"config": json.dumps({**GEOMETRY, **shape, **facts}), "state": state}
    if trained_on is not None:
        content["trained_on"] = json.dumps(trained_on.to_dict())
    return content


def unpack_branch(content: Any, name: str | Path) -> SavedBranch:
    """What `pack_branch` packed; `name` says in messages where it lay.

    Raises:
        CheckpointError: not a branch, or one of another geometry.
    """
    try:
        config, state = json.loads(content["config"]), content["state"]
        trained_on = TrainedOn.from_dict(json.loads(content.get("trained_on", "{}")))
        differing = [what for what in ("looks", "reach") if config[what] != GEOMETRY[what]]
        branch = EarBranch(config.pop("dim", EMBEDDING), config.pop("has_identity", False))
        branch.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in state.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{name}: not an embedding branch of this version: {error}") from None
    if differing:
        raise CheckpointError(f"{name} was learned with another {' and '.join(differing)} than this version has")
    facts = {what: value for what, value in config.items() if what not in GEOMETRY}
    return SavedBranch(branch.eval().requires_grad_(False), facts, trained_on)


def save_branch(
    branch: EarBranch, path: str | Path, facts: Mapping[str, Any] | None = None, trained_on: TrainedOn | None = None
) -> None:
    """Write a branch file."""
    with replacing(Path(path)) as temporary:
        torch.save(pack_branch(branch, facts or {}, trained_on), temporary)


def load_branch(path: str | Path) -> SavedBranch:
    """Read a branch file. Raises CheckpointError."""
    return unpack_branch(read_torch(path), path)
