"""What tells aligned ears apart beyond a linear projection: a small residual network on fine cells of gradients.

Residual blocks of He et al. 2016. It sees oriented gradients after local contrast normalisation and no pixels, as the
projection does, so that what renders and photographs differ in reaches it as little. Knows neither people nor losses.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.embedding.oriented_gradients import ORIENTATIONS

GRID = (24, 16)
"""Rows and columns of cells of 4 px in the aligned picture."""
WIDTHS = (64, 128, 256)
GAIN = 3.0
"""Brings cells to about unit size."""
_LAST = GRID[0] // 4 * (GRID[1] // 4)


class Residual(nn.Module):
    """Two convolutions of 3 x 3 beside a short cut; `stride` 2 halves both sides.

    normalised: with batch norms, to train; without, their effect lies in the convolutions.
    """

    def __init__(self, before: int, width: int, stride: int, normalised: bool) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *_convolution(before, width, 3, stride, normalised),
            nn.ReLU(),
            *_convolution(width, width, 3, 1, normalised),
        )
        self.skip: nn.Module = nn.Identity()
        if stride > 1:
            self.skip = nn.Sequential(nn.AvgPool2d(stride), *_convolution(before, width, 1, 1, normalised))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, width, H / stride, W / stride)."""
        return F.relu(self.inner(x) + self.skip(x))


class IdentityNet(nn.Module):
    """(B, 12, 24, 16) cells -> (B, D), of mean zero and unit variance over what it was trained on.

    normalised: with batch norms, to train; `fused` gives the network without.
    """

    def __init__(self, dim: int, normalised: bool = False) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.body = nn.Sequential(
            *_convolution(ORIENTATIONS, first, 3, 1, normalised), nn.ReLU(),
            Residual(first, first, 1, normalised), Residual(first, second, 2, normalised),
            Residual(second, second, 1, normalised), Residual(second, third, 2, normalised), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(third * _LAST, dim)

    def forward(self, cells: Tensor) -> Tensor:
        """(B, 12, 24, 16) float, as `OrientedCells` of 4 px gives them -> (B, D) float32."""
        embedding: Tensor = self.head(self.body(GAIN * cells).float())
        return embedding


@torch.no_grad()
def fused(net: IdentityNet, mean: Tensor, variance: Tensor, eps: float) -> IdentityNet:
    """The same function in evaluation mode without batch norms, weights rounded to half precision.

    Args:
        net: with batch norms.
        mean: (D,) of the outputs over what it was trained on; is taken away.
        variance: (D,) likewise; what is left is divided by its square root.
        eps: what was added to it in training.
    """
    net = copy.deepcopy(net).eval()
    for sequence in [module for module in net.modules() if isinstance(module, nn.Sequential)]:
        for index, convolution, norm in list(_normalised(sequence)):
            sequence[index] = fuse_conv_bn_eval(convolution, norm)
            sequence[index + 1] = nn.Identity()
    gain = (variance + eps).rsqrt()
    net.head.weight.mul_(gain[:, None])
    net.head.bias.sub_(mean).mul_(gain)
    plain = IdentityNet(net.head.out_features)
    plain.load_state_dict({name: value.half().float() for name, value in net.state_dict().items()})
    return plain.eval().requires_grad_(False)


def _normalised(sequence: nn.Sequential) -> Iterator[tuple[int, nn.Conv2d, nn.BatchNorm2d]]:
    for index in range(len(sequence) - 1):
        first, second = sequence[index], sequence[index + 1]
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            yield index, first, second


def _convolution(before: int, width: int, kernel: int, stride: int, normalised: bool) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(before, width, kernel, stride, kernel // 2, bias=not normalised)
    return convolution, nn.BatchNorm2d(width) if normalised else nn.Identity()
