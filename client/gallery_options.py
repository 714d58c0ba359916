"""The parameters of the gallery's operations: labels, enrolling, changing, lists, bulk copies. See `options`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypedDict

from client.options import (
    BOX,
    DETECT,
    SIDE,
    TILES,
    Box,
    CopyKind,
    Detect,
    Folder,
    FramingOptions,
    LimitOptions,
    OnDuplicate,
    Side,
    SpaceOptions,
    Vector,
)
from client.parameters import Param


class LabelOptions(TypedDict, total=False):
    """Whose ear it is, and what else is said of it."""

    subject: Annotated[str, Param("whose ear it is")]
    tags: Annotated[Sequence[str], Param("comma separated, or several times", default=(), commas=True)]
    source: Annotated[str, Param("where the picture came from")]


class DuplicateOptions(TypedDict, total=False):
    """What becomes of a picture that is enrolled already."""

    on_duplicate: Annotated[
        OnDuplicate,
        Param(
            "of a picture that is enrolled already: add it again, return the item that is there, or reject it (409)",
            default="add",
        ),
    ]


class EnrolOptions(FramingOptions, LimitOptions, LabelOptions, DuplicateOptions, total=False):
    """POST /v1/gallery/items"""


class PictureLabels(LabelOptions, total=False):
    """What is said of one of several pictures."""

    side: Annotated[Side, Param(SIDE, default="unknown")]
    box: Annotated[Box, Param(BOX)]


class EnrolManyChoices(LimitOptions, DuplicateOptions, total=False):
    """What may be left out of a call of POST /v1/gallery/items/batch, and holds for every picture."""

    detect: Annotated[Detect, Param(DETECT, default=False)]
    tiles: Annotated[bool, Param(TILES, default=False)]


class EnrolManyOptions(EnrolManyChoices, total=False):
    """POST /v1/gallery/items/batch"""

    labels: Annotated[
        Sequence[PictureLabels],
        Param("a JSON list: an object of labels for each picture, in order", default=(), body_only=True),
    ]


class PutOptions(LabelOptions, SpaceOptions, total=False):
    """PUT /v1/gallery/items/{item_id}; labels that are left out are none."""

    embedding: Annotated[Vector, Param("the vector that finds the ear", min_length=1, max_length=65536, body_only=True)]
    mu: Annotated[
        Vector,
        Param(
            "the latent; none: of an item that is there its own, else the picture's", max_length=65536, body_only=True
        ),
    ]
    side: Annotated[Side, Param(SIDE, default="unknown")]
    box: Annotated[Box, Param(BOX)]


class DeleteSubjectOptions(TypedDict):
    """DELETE /v1/gallery/subjects"""

    subject: Annotated[str, Param("whose ears are deleted; any name, such as '..' or 'a/b'", min_length=1)]


class ChangeOptions(TypedDict, total=False):
    """PATCH /v1/gallery/items/{item_id}; what is left out stays, null clears."""

    subject: Annotated[str | None, Param("whose ear it is")]
    side: Annotated[Side | None, Param("side of the ear")]
    tags: Annotated[Sequence[str] | None, Param("all tags of the item")]
    source: Annotated[str | None, Param("where the picture came from")]


class ItemsOptions(TypedDict, total=False):
    """GET /v1/gallery/items"""

    cursor: Annotated[str, Param("`next_cursor` of the page before")]
    limit: Annotated[int, Param("most items of one page", default=50, ge=1, le=500)]
    subject: Annotated[Sequence[str], Param("only ears of these subjects", default=())]
    side: Annotated[Sequence[Side], Param("only ears of these sides", default=())]
    tag: Annotated[Sequence[str], Param("only ears with all of these tags", default=())]


class DuplicatesOptions(TypedDict, total=False):
    """GET /v1/gallery/duplicates"""

    threshold: Annotated[float, Param("least cosine of two ears of which one is enough", default=0.99, ge=0.5, le=1)]
    cursor: Annotated[str, Param("`next_cursor` of the answer before")]
    limit: Annotated[int, Param("items that are compared with the gallery", default=200, ge=1, le=500)]


class DriftOptions(SpaceOptions, total=False):
    """GET /v1/gallery/drift"""

    recent: Annotated[int, Param("how many of the last ears are recent", default=200, ge=30, le=5000)]
    redraw: Annotated[int, Param("pictures of either part that the model reconstructs", default=16, ge=0, le=64)]


class ImportChoices(TypedDict, total=False):
    """What may be left out of a call of POST /v1/gallery/imports."""

    update_labels: Annotated[
        bool, Param("ears that are enrolled already get the labels that the source has of them", default=False)
    ]


class ImportOptions(ImportChoices):
    """POST /v1/gallery/imports"""

    source: Annotated[
        Folder,
        Param("folder, CSV, .npy, Parquet or tar on the service's machine", min_length=1, max_length=4096),
    ]


class ExportChoices(TypedDict, total=False):
    """What may be left out of a call of POST /v1/gallery/exports."""

    kind: Annotated[CopyKind, Param("archive: Parquet and pictures; backup: SQLite", default="archive")]


class ExportOptions(ExportChoices):
    """POST /v1/gallery/exports"""

    target: Annotated[Folder, Param("a new folder on the service's machine", min_length=1, max_length=4096)]
