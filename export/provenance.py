"""What an export was made with: versions, commit, time. Knows no graph."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

from common.provenance import commit, installed

PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy")


def made_with(opset: int) -> dict[str, Any]:
    """Plain JSON values for the manifest."""
    return {"commit": commit(), "python": platform.python_version(), "opset": opset, "versions": installed(PACKAGES)}


def now() -> str:
    """ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
