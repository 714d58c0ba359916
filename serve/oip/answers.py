"""What the Open Inference Protocol's routes answer, as their OpenAPI document shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Server:
    """Name and extensions of the server."""

    name: str
    version: str
    extensions: list[str]


@dataclass(frozen=True)
class ServerLive:
    """The process answers."""

    live: bool


@dataclass(frozen=True)
class ServerReady:
    """Whether inference requests will be answered."""

    ready: bool


@dataclass(frozen=True)
class ModelReady:
    """Whether a model will answer."""

    name: str
    ready: bool


@dataclass(frozen=True)
class TensorMetadata:
    """An input or output; -1 in its shape is the batch."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True)
class Metadata:
    """A model. versions: those that are loaded, the active one first. parameters: space_id and bundle_id."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, str]


@dataclass(frozen=True)
class Statistics:
    """Counts and times, one entry for each version of each model."""

    model_stats: list[dict[str, Any]]


@dataclass(frozen=True)
class RepositoryEntry:
    """A version of a model that is loaded."""

    name: str
    version: str
    state: str
    reason: str
