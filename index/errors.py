"""What can go wrong in a gallery, as one tree; nothing here knows HTTP status codes.

GalleryError
├── SpaceMismatch      vectors of another encoder: carries both space ids
├── ItemNotFound       no such item
├── BadItem            a subject, side, tag or box that cannot be stored
├── DuplicateItem      the picture is enrolled already: carries the item's id
├── BadVector          wrong width, NaN, infinite or zero
├── BadFilter          a filter, cursor, k or threshold that cannot be asked
├── CalibrationRefused a gallery with too few labelled ears to calibrate on
├── TooFewToCentre     a gallery with too few ears for its mean to be taken from vectors
├── GalleryLocked      another process owns the folder
├── GalleryReadOnly    the disk is full or the folder cannot be written: reading goes on
├── NeighboursUnavailable  a server of neighbours (Milvus) does not answer, or faiss cannot be imported
├── ImportRefused      a source of a bulk import that cannot be read, or must not be
├── BackupRefused      a backup that cannot be made, or must not be restored
├── PromotionRefused   a space that cannot be activated, rolled back to or retired now
└── GalleryCorrupt     the truth itself cannot be read
"""

from __future__ import annotations


class GalleryError(Exception):
    """Any expected failure of the gallery; the front door prints it as one line."""

    is_user_error = True


class SpaceMismatch(GalleryError):
    """Vectors of two encoders must never be compared."""

    def __init__(self, expected: str, given: str, hint: str = "embed the picture again with the active model") -> None:
        super().__init__(f"vectors of space {given} cannot be compared with this gallery's space {expected}: {hint}")
        self.expected = expected
        self.given = given


class ItemNotFound(GalleryError):
    """There is no item of that id (or it was deleted)."""

    def __init__(self, item_id: str) -> None:
        super().__init__(f"no item {item_id!r} in the gallery: it never existed or was deleted")
        self.item_id = item_id


class BadItem(GalleryError):
    """An item's own data cannot be stored."""


class DuplicateItem(GalleryError):
    """A picture is enrolled already, and the caller wanted to be told."""

    def __init__(self, number: int, twin: str | int) -> None:
        where = f"enrolled already as {twin}" if isinstance(twin, str) else f"the same picture as items[{twin}]"
        super().__init__(f"items[{number}] is {where}: use that one, or enrol with on_duplicate 'return' or 'add'")
        self.item_id = twin if isinstance(twin, str) else None


class BadVector(GalleryError):
    """A vector is of the wrong width, not finite, or zero."""


class BadFilter(GalleryError):
    """A question that cannot be asked."""


class CalibrationRefused(GalleryError):
    """The gallery has too few labelled ears to calibrate on."""


class TooFewToCentre(GalleryError):
    """The gallery has too few ears to centre vectors on their mean."""


class GalleryLocked(GalleryError):
    """One process owns an embedded gallery; this one is not it."""


class GalleryReadOnly(GalleryError):
    """Writing is impossible at the moment; reading and searching go on."""


class PromotionRefused(GalleryError):
    """The spaces are not in a state that allows this step."""


class NeighboursUnavailable(GalleryError):
    """A server of neighbours does not answer, or faiss cannot be imported; nothing acknowledged is lost."""


class ImportRefused(GalleryError):
    """A source of a bulk import that cannot be read, or must not be."""


class BackupRefused(GalleryError):
    """A backup or an archive that cannot be made, or must not be restored."""


class GalleryCorrupt(GalleryError):
    """The truth cannot be read; only a backup helps."""
