"""What SAM's frozen half makes of each picture, kept in memory from epoch to epoch, up to a limit.

For inputs that stay the same: validation pictures, and training pictures where `--augment 0` leaves them as they are.
Knows neither losses nor data sets; a picture is a key.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from training.networks.sam import SamEncoder


class FrozenCache:
    """Keeps the first pictures that fit and never drops one: an epoch visits all of them, so that dropping the oldest
    would lose each picture just before its next turn.

    Args:
        sam: its frozen weights must not change while the cache lives.
        limit_bytes: of host memory for what is kept.
    """

    def __init__(self, sam: SamEncoder, limit_bytes: int) -> None:
        self._sam, self._limit = sam, limit_bytes
        self._kept: dict[Hashable, Tensor] = {}
        self.used_bytes = 0
        self.computed = 0
        """Pictures that ran through the frozen half so far."""

    @torch.no_grad()
    def hidden(self, images: Tensor, keys: Sequence[Hashable]) -> Tensor:
        """`SamEncoder.prefix(images)`, running it for those rows only whose keys are not kept.

        Args:
            images: (B, 3, S, S) float32 in [-1, 1]; a key always stands for the same picture, in the same mode and
                precision.
            keys: B of them.

        Returns:
            (B, G, G, C) on the images' device, equal to the computed values bit by bit.
        """
        missing = [row for row, key in enumerate(keys) if key not in self._kept]
        computed = self._sam.prefix(images if len(missing) == len(keys) else images[missing]) if missing else None
        self.computed += len(missing)
        if computed is not None:
            for row, values in zip(missing, computed, strict=True):
                self._keep(keys[row], values)
            if len(missing) == len(keys):
                return computed
        turn = iter(()) if computed is None else iter(computed)
        # Rows that did not fit are taken as computed just now; a key twice in a batch was computed twice.
        absent = set(missing)
        rows = [next(turn) if row in absent else self._kept[key].to(images.device) for row, key in enumerate(keys)]
        return torch.stack([values.float() for values in rows])

    def _keep(self, key: Hashable, values: Tensor) -> None:
        half = values.bfloat16()
        kept = (half if torch.equal(half.to(values.dtype), values) else values).to("cpu", copy=True)
        size = kept.numel() * kept.element_size()
        if key not in self._kept and self.used_bytes + size <= self._limit:
            self._kept[key] = kept
            self.used_bytes += size
