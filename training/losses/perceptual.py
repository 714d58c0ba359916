"""The perceptual term (Johnson, Alahi & Fei-Fei 2016): L1 distance of VGG16 features.

The convolution stack is written out here and takes torchvision's published state dict by key, because torchvision
itself is not a dependency. Finding the file is the business of `training/weights.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.errors import WeightsMissing

# VGG16 "D" (Simonyan & Zisserman 2015) as torchvision numbers it, up to relu4_3; "M" is a 2 x 2 maximum pooling.
_PLAN: tuple[int | str, ...] = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512)
TAPS = (3, 8, 15, 22)
"""Layers whose outputs are compared: relu1_2, relu2_2, relu3_3, relu4_3."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _layers() -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for step in _PLAN:
        if isinstance(step, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, step, 3, padding=1), nn.ReLU()]
            channels = step
    return layers


class Vgg16Features(nn.Module):
    """The first ten convolutions of VGG16, frozen: crops -> four maps of features."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*_layers())
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], name: str) -> Self:
        """Build from torchvision's published VGG16 tensors; those of later layers are ignored.

        Raises:
            WeightsMissing: a tensor is absent or misshapen; the message has the file's `name`.
        """
        model = cls()
        expected = model.state_dict()
        wrong = [key for key, own in expected.items() if key not in state or state[key].shape != own.shape]
        if wrong:
            raise WeightsMissing(f"{name}: not VGG16's published weights: {wrong[0]} is absent or of another shape")
        model.load_state_dict({key: state[key] for key in expected})
        return model

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) float32 in [-1, 1], RGB -> features at the four `TAPS`, fine to coarse."""
        hidden = ((images + 1) / 2 - self.mean) / self.std
        taps = []
        for number, layer in enumerate(self.features):
            hidden = layer(hidden)
            if number in TAPS:
                taps.append(hidden)
        return taps


def perceptual(features: Vgg16Features, reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of VGG16 features, averaged over the four maps.

    Both pictures (B, 3, H, W) float32 in [-1, 1], RGB; returns a scalar >= 0. No gradient goes to the target.
    """
    with torch.no_grad():
        of_target = features(target)
    differences = [F.l1_loss(a, b) for a, b in zip(features(reconstruction), of_target, strict=True)]
    return torch.stack(differences).mean()
