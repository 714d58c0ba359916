"""One promotion as it is told and kept: from which model to which, how far, what was measured. Survives restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from bundle.manifest import Manifest
from common.durable_files import write_json
from serve.errors import ConfigurationError

FILE_NAME = "promotions.json"

State = Literal["embedding", "ready", "active", "rolled back", "retired", "cancelled", "failed"]
OPEN: tuple[State, ...] = ("embedding", "ready")
"""States in which a promotion is under way."""
LIVE: tuple[State, ...] = ("embedding", "ready", "active", "rolled back")
"""States in which both models are loaded and both spaces receive every write."""


class PromotionRecord(BaseModel):
    """A promotion. `bundle`, `from_bundle`: folders on the service's machine."""

    id: str
    state: State
    bundle: str
    bundle_id: str
    space_id: str
    from_bundle: str
    from_bundle_id: str
    from_space_id: str
    created: str
    updated: str
    total: int = 0
    done: int = 0
    eta_s: float | None = None
    failed_items: list[str] = []
    """Items whose stored picture could not be embedded anew."""
    report: dict[str, Any] | None = None
    objections: list[str] = []
    error: str | None = None

    def is_new(self, manifest: Manifest) -> bool:
        """Whether a bundle is the new one of the two; a new export of it is, where their spaces tell them apart."""
        if self.space_id != self.from_space_id:
            return manifest.space_id == self.space_id
        return manifest.bundle_id == self.bundle_id

    @property
    def other_bundle(self) -> str:
        """Of the two bundles, the one that does not answer in this state."""
        return self.from_bundle if self.state == "active" else self.bundle


class Ledger(BaseModel):
    """All promotions of a gallery, the oldest first."""

    promotions: list[PromotionRecord] = []

    def under_way(self) -> PromotionRecord | None:
        """The one that is being embedded or waits for activation."""
        return next((one for one in self.promotions if one.state in OPEN), None)

    def live(self) -> PromotionRecord | None:
        """The newest whose two models are both kept."""
        return next((one for one in reversed(self.promotions) if one.state in LIVE), None)


def read_ledger(folder: Path) -> Ledger:
    """The promotions of a gallery folder. Raises ConfigurationError where the file is damaged."""
    try:
        return Ledger.model_validate_json((folder / FILE_NAME).read_bytes())
    except FileNotFoundError:
        return Ledger()
    except (ValidationError, OSError) as error:
        raise ConfigurationError(f"{folder / FILE_NAME} cannot be read: {error}") from None


def write_ledger(folder: Path, ledger: Ledger) -> None:
    """All of the file or none of it, also after power loss."""
    write_json(folder / FILE_NAME, ledger.model_dump(mode="json"))
