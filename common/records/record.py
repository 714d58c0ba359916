"""What is said of one picture of an ear, and where its bytes are.

Every layout (`common/records/layouts/`) becomes the same `EarRecord`; training, evaluation, gallery import and bulk
embedding know no other. Decodes no picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.records.location import Location

Side = Literal["left", "right"]
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the picture; x2 and y2 are exclusive edges."""
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"})


class RecordsError(Exception):
    """A source of pictures that cannot be read at all: the message names it, what is allowed and what to do."""

    is_user_error = True


@dataclass(frozen=True)
class EarRecord:
    """One picture of one ear. What is not known is None."""

    path: Path
    """The picture's file; inside an archive, a Parquet file or a remote store it is a name, and `location` is used."""
    box: Box | None = None
    subject: str | None = None
    """Whose ear it is."""
    side: Side | None = None
    landmarks: NDArray[np.float32] | None = None
    """(K, 2) x, y in pixels of the picture; NaN where not known."""
    visible: NDArray[np.bool_] | None = None
    """(K,); only where landmarks are."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Every other column of the source, as text: `evaluate` slices its figures by these."""
    tags: tuple[str, ...] = ()
    relative: str = ""
    """Name of the picture within its source, with `/` between folders; "": the name of the file."""
    location: Location | None = None
    """Where the bytes are; None: the file `path`."""

    @property
    def name(self) -> str:
        """The picture's name within its source."""
        return self.relative or self.path.name

    @property
    def split(self) -> str | None:
        """What the source says of training, validation and test, as it is written there."""
        return self.attributes.get("split", "").strip() or None

    @property
    def place(self) -> Location:
        """Where the bytes are."""
        return self.location or Location(str(self.path))

    def read(self) -> bytes:
        """The encoded picture. Raises OSError, or ValueError where a row of a Parquet file has no picture."""
        return self.place.read()


@dataclass(frozen=True)
class UnusableRow:
    """A row, picture or folder of a source that gives no record, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


Row = EarRecord | UnusableRow
