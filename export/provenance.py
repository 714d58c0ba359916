"""What an export was made with: versions, commit, time. Knows no graph."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy")


def made_with(opset: int) -> dict[str, Any]:
    """Plain JSON values for the manifest."""
    from ear_teacher import commit

    return {"commit": commit(), "python": platform.python_version(), "opset": opset, "versions": _versions()}


def now() -> str:
    """ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
