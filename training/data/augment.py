"""Augmentations that keep identity: small warps, colour and light, and, for the encoder's eyes only, blur, noise and
occlusion.

A view is a pure function of its crop and of `UNIFORMS` numbers in [0, 1) that the data set draws from (seed, epoch,
index, view); so a resumed run sees what an uninterrupted one would have seen, on any number of devices. Works on
batches, on the device that trains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.errors import ConfigError

WARP_SIDE = 4
PATCHES = 2
_WIDTHS = {
    "affine": 6,  # rotation, scale, stretch, shear, shift x, shift y
    "warp": 2 * WARP_SIDE**2,
    "colour": 16,  # gain, gain per channel (3), mixing (9), bias (3)
    "light": 4,  # ramp x, ramp y, overall bias, gamma
    "grey": 2,  # whether, and how bright
    "blur": 2,  # whether, and how much
    "noise": 4,  # whether, how much, and where in the noise field
    "patches": PATCHES * 8,  # each: whether, centre, half axes, colour
}
UNIFORMS = sum(_WIDTHS.values())
"""Uniform numbers that one view takes."""
_NOISE_FIELD = 512


@dataclass(frozen=True)
class AugmentStrength:
    """How far each augmentation may go. The defaults keep an ear recognisable to a person."""

    rotation_deg: float = 10.0
    scale: float = 0.08
    """Natural log of the zoom, either way."""
    shift: float = 0.04
    """Share of the crop's side."""
    shear: float = 0.05
    warp: float = 0.012
    """Displacement of a smooth random field, share of the crop's side."""
    colour: float = 0.25
    light: float = 0.5
    grey: float = 0.1
    """Probability of a grey picture."""
    blur: float = 0.25
    """Probability of a blurred input."""
    noise: float = 0.06
    """Largest standard deviation, for pixels in [-1, 1]."""
    occlusion: float = 0.4
    """Probability of each of two soft patches over the input."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) < 0:
                raise ConfigError(f"augmentation {item.name} is {getattr(self, item.name)}; must not be negative")

    def scaled(self, factor: float) -> AugmentStrength:
        """Every strength times `factor` (`--augment`); probabilities stay below 1."""
        values = {item.name: getattr(self, item.name) * factor for item in fields(self)}
        for name in ("grey", "blur", "occlusion"):
            values[name] = min(values[name], 0.9)
        return AugmentStrength(**values)


class View(NamedTuple):
    """One augmented view of B crops."""

    input: Tensor
    """(B, 3, S, S) float32 in [-1, 1]: what the encoder sees."""
    target: Tensor
    """(B, 3, S, S) float32 in [-1, 1]: the same view without blur, noise and patches: what the decoder should give."""
    landmarks: Tensor
    """(B, K, 2) float32, shares of the crop's side, moved with the picture."""


def draw(seed: int, epoch: int, index: int, view: int) -> NDArray[np.float32]:
    """The `UNIFORMS` numbers in [0, 1) of one view; a function of its arguments alone."""
    generator = np.random.Generator(np.random.Philox(key=[seed, (epoch << 40) + (index << 4) + view]))
    return generator.random(UNIFORMS, dtype=np.float32)


def augment(images: Tensor, landmarks: Tensor, uniforms: Tensor, strength: AugmentStrength) -> View:
    """Make one view of each crop.

    Args:
        images: (B, 3, S, S) float32 in [-1, 1], RGB.
        landmarks: (B, K, 2) float32, shares of the crop's side; K may be 0.
        uniforms: (B, UNIFORMS) float32 in [0, 1), from `draw`.
        strength: how far each augmentation may go.
    """
    params = _Params(uniforms)
    moved, landmarks = _move(images, landmarks, params, strength)
    target = _relight(moved, params, strength)
    return View(_spoil(target, params, strength), target, landmarks)


class _Params:
    """Names for the columns of `uniforms`."""

    def __init__(self, uniforms: Tensor) -> None:
        parts: tuple[Tensor, ...] = torch.split(uniforms, list(_WIDTHS.values()), dim=1)
        self._parts: dict[str, Tensor] = dict(zip(_WIDTHS, parts, strict=True))

    def unit(self, name: str) -> Tensor:
        """(B, n) in [0, 1)."""
        return self._parts[name]

    def signed(self, name: str) -> Tensor:
        """(B, n) in [-1, 1)."""
        return self._parts[name] * 2 - 1


def _move(images: Tensor, landmarks: Tensor, params: _Params, strength: AugmentStrength) -> tuple[Tensor, Tensor]:
    """Affine map and smooth warp, edges repeated; landmarks follow."""
    matrix, shift = _affine(params.signed("affine"), strength)
    control = params.signed("warp").view(-1, 2, WARP_SIDE, WARP_SIDE) * (2 * strength.warp)
    field = F.interpolate(control, size=images.shape[-2:], mode="bicubic", align_corners=True)
    theta = torch.cat([matrix, shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False) + field.permute(0, 2, 3, 1)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if landmarks.shape[1]:
        landmarks = (_forward(landmarks * 2 - 1, matrix, shift, field) + 1) / 2
    return moved, landmarks


def _affine(signed: Tensor, strength: AugmentStrength) -> tuple[Tensor, Tensor]:
    """Matrix (B, 2, 2) and shift (B, 2) that take a place in the view to its place in the crop, both in [-1, 1]."""
    angle = signed[:, 0] * math.radians(strength.rotation_deg)
    scale, stretch = torch.exp(signed[:, 1] * strength.scale), torch.exp(signed[:, 2] * strength.scale / 2)
    cos, sin = angle.cos(), angle.sin()
    rotation = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    shear = signed[:, 3] * strength.shear
    shape = torch.stack([scale * stretch, shear, torch.zeros_like(shear), scale / stretch], dim=1).view(-1, 2, 2)
    return rotation @ shape, signed[:, 4:6] * (2 * strength.shift)


def _forward(points: Tensor, matrix: Tensor, shift: Tensor, field: Tensor) -> Tensor:
    """Where the warp, which is given from view to crop, puts points of the crop: a few fixed-point steps."""
    inverse = torch.linalg.inv(matrix).transpose(1, 2)
    points_before: Tensor = (points - shift[:, None]) @ inverse
    for _ in range(3):
        here = F.grid_sample(field, points_before[:, None], mode="bilinear", padding_mode="border", align_corners=False)
        points_before = (points - shift[:, None] - here[:, :, 0].transpose(1, 2)) @ inverse
    return points_before


def _relight(images: Tensor, params: _Params, strength: AugmentStrength) -> Tensor:
    """Colour matrix, brightness, a ramp of light across the picture, and a tone curve."""
    matrix, bias = _colours(params, strength)
    light = params.signed("light") * strength.light
    axis = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    ramp = torch.exp(light[:, 0, None, None] * axis + light[:, 1, None, None] * axis[:, None])[:, None]
    # matrix @ (x + 1) / 2 + bias for x in [-1, 1], as one product
    offset = matrix.sum(2, keepdim=True) / 2 + bias[:, :, None]
    lit: Tensor = torch.baddbmm(offset, matrix / 2, images.flatten(2)).view_as(images).mul_(ramp).clamp_(0, 1)
    curve = light[:, 3, None, None, None].clamp(-1, 1)
    # x + c x (1 - x): monotone for |c| <= 1, and far cheaper than a power
    toned: Tensor = torch.addcmul((1 + curve) * lit, lit * curve, lit, value=-1)
    return toned.mul_(2).sub_(1)


def _colours(params: _Params, strength: AugmentStrength) -> tuple[Tensor, Tensor]:
    """Colour matrices (B, 3, 3) and offsets (B, 3), for pixels in [0, 1]."""
    colour, light = params.signed("colour") * strength.colour, params.signed("light") * strength.light
    gains = torch.exp(colour[:, :1] + 0.5 * colour[:, 1:4])
    matrix = torch.diag_embed(gains) + 0.15 * colour[:, 4:13].view(-1, 3, 3)
    luminance = torch.tensor([0.299, 0.587, 0.114], device=colour.device).expand(3, 3)
    is_grey = params.unit("grey")[:, 0] < strength.grey
    bright = torch.exp(params.signed("grey")[:, 1] * strength.colour)
    matrix = torch.where(is_grey[:, None, None], luminance * bright[:, None, None], matrix)
    return matrix, 0.15 * colour[:, 13:16] + 0.15 * light[:, 2:3]


def _spoil(images: Tensor, params: _Params, strength: AugmentStrength) -> Tensor:
    """Blur, noise and soft elliptic patches, each on some pictures of the batch."""
    return _cover(_add_noise(_blur(images, params, strength), params, strength), params, strength).clamp_(-1, 1)


def _blur(images: Tensor, params: _Params, strength: AugmentStrength) -> Tensor:
    """Gaussian blur of up to 2.5 px as products with a matrix of each picture's own; the identity where it is off."""
    on, amount = params.unit("blur").unbind(1)
    sigma = torch.where(on < strength.blur, 0.5 + 2 * amount, 0.1)
    places = torch.arange(images.shape[-1], device=images.device)
    distance = (places[:, None] - places).float()
    kernel = torch.softmax(-0.5 * (distance / sigma[:, None, None]) ** 2, dim=1)
    for _ in range(2):  # along the last axis, turn, and again
        images = torch.bmm(images.flatten(1, 2), kernel).view_as(images).transpose(2, 3).contiguous()
    return images


def _add_noise(images: Tensor, params: _Params, strength: AugmentStrength) -> Tensor:
    """Gaussian noise cut from one fixed field at a place of each picture's own, so that no random state is kept."""
    height, width = images.shape[-2:]
    field = _noise_field(images.device)
    on, amount, y, x = params.unit("noise").unbind(1)
    rows = ((y * _NOISE_FIELD).long()[:, None] + torch.arange(height, device=images.device)) % _NOISE_FIELD
    columns = ((x * _NOISE_FIELD).long()[:, None] + torch.arange(width, device=images.device)) % _NOISE_FIELD
    noise = field[:, rows[:, :, None], columns[:, None, :]].transpose(0, 1)
    sigma = torch.where(on < 0.5, amount * strength.noise, 0.0)
    return torch.addcmul(images, noise, sigma[:, None, None, None])


@lru_cache
def _noise_field(device: torch.device) -> Tensor:
    return torch.randn(3, _NOISE_FIELD, _NOISE_FIELD, generator=torch.Generator().manual_seed(0)).to(device)


def _cover(images: Tensor, params: _Params, strength: AugmentStrength) -> Tensor:
    """Lay soft-edged ellipses of one colour over the picture, as a finger, a strand of hair or an earring would."""
    axis = torch.linspace(0, 1, images.shape[-1], device=images.device)
    for patch in params.unit("patches").view(-1, PATCHES, 8).unbind(1):
        on, centre_x, centre_y, half_x, half_y = patch[:, :5, None, None].unbind(1)
        across = (axis - centre_x) / (0.05 + 0.15 * half_x)
        down = (axis[:, None] - centre_y) / (0.05 + 0.15 * half_y)
        inside = torch.sigmoid(8 * (1 - across**2 - down**2)) * (on < strength.occlusion)
        colour = (patch[:, 5:8] * 2 - 1)[:, :, None, None]
        images = torch.lerp(images, colour, inside[:, None])
    return images
