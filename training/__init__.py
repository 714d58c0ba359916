"""Images of ears -> checkpoint, and what one learns from a checkpoint.

The public classes are imported when they are first named, so that `import training` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.detector.detector import EarDetector
    from training.networks.vae import EarVAE

__all__ = ["EarDetector", "EarVAE"]

_HOMES = {"EarDetector": "training.detector.detector", "EarVAE": "training.networks.vae"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
