"""Edges: the difference of Sobel gradients, which L1 hardly feels and an ear's folds are made of."""

from __future__ import annotations

from torch import Tensor


def sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical Sobel derivatives, per unit step: divided by 4, so a step of height 1 gives 1.

    Args:
        images: (B, C, H, W) float32.

    Returns:
        Two of (B, C, H - 2, W - 2) float32, for the positions whose 3 x 3 neighbourhood is inside.
    """
    smooth_rows = images[..., :-2, :] + 2 * images[..., 1:-1, :] + images[..., 2:, :]
    smooth_columns = images[..., :-2] + 2 * images[..., 1:-1] + images[..., 2:]
    across = smooth_rows[..., 2:] - smooth_rows[..., :-2]
    down = smooth_columns[..., 2:, :] - smooth_columns[..., :-2, :]
    return across / 4, down / 4


def edge(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the Sobel derivatives of both. (B, 3, H, W) float32 in [-1, 1]; returns a scalar."""
    across, down = sobel(reconstruction - target)  # the derivative is linear: one pass serves both pictures
    return (across.abs().mean() + down.abs().mean()) / 2
