"""The parameters of every operation of the service, defined once.

`total=False`: a caller may leave a parameter out. A typed dictionary can be unpacked into a signature (PEP 692), which
gives both clients their keyword arguments; `serve.http.parameters` makes the service's checks and OpenAPI of the same
lines, `client.flags` the flags of `ear-teacher call`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from client.parameters import Param

Vector = NDArray[np.float32]
Side = Literal["left", "right", "unknown"]
Box = tuple[float, float, float, float]
Detect = bool | Literal["all"]
Group = Literal["item", "subject"]
Packing = Literal["float", "base64"]
CopyKind = Literal["archive", "backup"]
OnDuplicate = Literal["add", "return", "reject"]
PictureFormat = Literal["png", "json"]
Folder = str | os.PathLike[str]
"""A place on the service's machine, not on this one."""

EXTRAS = ("mu", "quality", "eigenears")
MAX_K = 1000

SIDE = (
    "side of the ear; unknown: the side in which the encoder is surer of the ear, where the bundle tells that; else "
    "searches try both orientations, other calls take it as posted"
)
BOX = "ear box x1,y1,x2,y2 in pixels of the upright picture; none: the whole picture is the ear"
DETECT = (
    "the picture is a photo: find its ears first. true: take the most certain one (of `side`, where that is given); "
    "all: answer for each"
)
TILES = (
    "with detect: look at overlapping tiles of the photo at several scales, too, for ears that are small in it; takes "
    "some 100 runs of the detector for 12 megapixels in place of one"
)
MIN_QUALITY = (
    "least likeness to an ear, as `quality` gives it; a picture below it is refused (422), with detect=all an ear is "
    "passed over"
)
MIN_SCORE = "with detect: least score of the detector; below it the picture is refused (422), or passed over"
SPACE = "answer with this space's model, where it is loaded; none: the active one"
FORMAT = "png: the picture alone; json: with its figures; none: as the Accept header asks, else png"


class NoOptions(TypedDict):
    """An operation without parameters."""


class FramingOptions(TypedDict, total=False):
    """What the caller says about the ear in a picture."""

    side: Annotated[Side, Param(SIDE, default="unknown")]
    box: Annotated[Box, Param(BOX)]
    detect: Annotated[Detect, Param(DETECT, default=False)]
    tiles: Annotated[bool, Param(TILES, default=False)]


class LimitOptions(TypedDict, total=False):
    """What an ear must reach to be taken."""

    min_quality: Annotated[float, Param(MIN_QUALITY, ge=0, le=1)]
    min_score: Annotated[float, Param(MIN_SCORE, ge=0, le=1)]


class SpaceOptions(TypedDict, total=False):
    """Which model answers."""

    space_id: Annotated[str, Param(SPACE, max_length=64)]


class EmbedOptions(FramingOptions, LimitOptions, SpaceOptions, total=False):
    """POST /v1/embed"""

    include: Annotated[
        Sequence[Literal["mu", "quality", "eigenears"]],
        Param(f"what to answer besides, of {', '.join(EXTRAS)}; comma separated", default=(), commas=True),
    ]


class ReconstructOptions(FramingOptions, SpaceOptions, total=False):
    """POST /v1/reconstruct"""

    format: Annotated[PictureFormat, Param(FORMAT)]


class LandmarksOptions(TypedDict, total=False):
    """POST /v1/landmarks"""

    threshold: Annotated[
        float,
        Param("least score of an ear, which then alone decides; none: the one that the bundle states", ge=0, le=1),
    ]
    tiles: Annotated[bool, Param(TILES.removeprefix("with detect: "), default=False)]


class DecodeOptions(SpaceOptions, total=False):
    """POST /v1/decode; exactly one of `latent`, `latents` and `eigenears`."""

    latent: Annotated[Vector, Param("a `mu`, as /v1/embed?include=mu gives it", max_length=65536, body_only=True)]
    latents: Annotated[
        Sequence[Vector], Param("several of them, drawn side by side", min_length=1, max_length=64, body_only=True)
    ]
    eigenears: Annotated[
        Sequence[float],
        Param("standard deviations along the first eigenears; [] is the mean", max_length=65536, body_only=True),
    ]
    side: Annotated[Side, Param("right: the pictures are mirrored to show right ears", default="unknown")]
    format: Annotated[PictureFormat, Param(FORMAT)]


class CentredOptions(TypedDict, total=False):
    """Whether similarities are of vectors less the gallery's mean."""

    centred: Annotated[
        bool,
        Param("similarities of vectors less the gallery's mean; none: as the gallery's own calibration is, else false"),
    ]


class SearchOptions(FramingOptions, CentredOptions, LimitOptions, SpaceOptions, total=False):
    """POST /v1/search; a picture, or ready vectors with the space that they are of."""

    embedding: Annotated[Vector, Param("a ready vector", min_length=1, max_length=65536, body_only=True)]
    embeddings: Annotated[
        Sequence[Vector],
        Param("several ready vectors, each answered by itself; at most MAX_INPUTS", min_length=1, body_only=True),
    ]
    item: Annotated[
        str, Param("id of a stored ear to search with, in place of a picture; not found itself", max_length=64)
    ]
    k: Annotated[int, Param("most hits, or with group=subject most persons", default=10, ge=1, le=MAX_K, flag="-k")]
    threshold: Annotated[float, Param("least similarity, a cosine", ge=-1, le=1)]
    subject: Annotated[Sequence[str], Param("only ears of these subjects", default=())]
    tag: Annotated[Sequence[str], Param("only ears with all of these tags", default=())]
    exclude_subject: Annotated[Sequence[str], Param("no ears of these subjects", default=())]
    cross_ear: Annotated[bool, Param("ears of the other side count too", default=False)]
    group: Annotated[Group, Param("subject: each person once, with the nearest of their ears", default="item")]
    per_subject: Annotated[int, Param("ears of each person in the answer", default=1, ge=1, le=100)]


class VerifyOptions(CentredOptions, LimitOptions, SpaceOptions, total=False):
    """POST /v1/verify"""

    side_a: Annotated[Side, Param("side of the ear in a", default="unknown")]
    side_b: Annotated[Side, Param("side of the ear in b", default="unknown")]
    box_a: Annotated[Box, Param("ear box in a, x1,y1,x2,y2 in pixels")]
    box_b: Annotated[Box, Param("ear box in b, x1,y1,x2,y2 in pixels")]
    detect: Annotated[
        Detect,
        Param("both are photos: find their ears first. all: the best pair of all their ears counts", default=False),
    ]
    tiles: Annotated[bool, Param(TILES, default=False)]
    far: Annotated[
        float,
        Param(
            "false-accept rate at which the gallery's own calibration decides (none: 0.01); an unknown side doubles "
            "the decision's",
            gt=0,
            lt=1,
        ),
    ]
    threshold: Annotated[
        float, Param("a least similarity of your own, a cosine: it decides, whatever was calibrated", ge=-1, le=1)
    ]


class CalibrateOptions(SpaceOptions, total=False):
    """POST /v1/calibrations"""

    centred: Annotated[bool, Param("similarities of vectors less the gallery's own mean", default=False)]


class ExplainChoices(FramingOptions, total=False):
    """What may be left out of a call of POST /v1/explain."""

    steps: Annotated[int, Param("pictures on the way from the query to the item", default=7, ge=2, le=16)]


class ExplainOptions(ExplainChoices):
    """POST /v1/explain"""

    item: Annotated[str, Param("id of the stored ear to compare with", max_length=64)]


class PromoteOptions(TypedDict):
    """POST /v1/promotions"""

    bundle: Annotated[
        Folder, Param("folder of the new bundle, on the service's machine", min_length=1, max_length=4096)
    ]


class ActivateOptions(TypedDict, total=False):
    """POST /v1/promotions/{promotion_id}/activate"""

    force: Annotated[bool, Param("activate although the report speaks against it", default=False)]


class EmbeddingsOptions(FramingOptions, total=False):
    """POST /v1/embeddings, as OpenAI-compatible clients send it; exactly one of input, inputs, images and messages.

    What other vendors' clients say about text (input_type, task, truncation …) is taken and means nothing here.
    """

    model: Annotated[
        str, Param("a bundle_id or space_id of a loaded model, or an alias of the active one", max_length=128)
    ]
    input: Annotated[
        Any, Param("a picture or a list: data URI, base64, {'image': …}, {'image_url': …}", body_only=True)
    ]
    inputs: Annotated[Any, Param("Voyage's and Cohere's name of input", body_only=True)]
    images: Annotated[Any, Param("Cohere's name of input", body_only=True)]
    messages: Annotated[Any, Param("vLLM's chat messages with pictures", body_only=True)]
    modality: Annotated[str, Param("image, the only one", default="image")]
    encoding_format: Annotated[Packing, Param("how vectors are written", default="float")]
    embedding_type: Annotated[Packing, Param("Jina's name of encoding_format")]
    output_encoding: Annotated[Literal["base64"], Param("Voyage's name of encoding_format")]
    dimensions: Annotated[int, Param("the model's width, or 0 for all; there are no shorter ones")]
    output_dimension: Annotated[int, Param("Voyage's name of dimensions")]
    normalized: Annotated[bool, Param("true: vectors have length 1, always")]
    output_dtype: Annotated[Literal["float"], Param("Voyage's; float, the only one")]
    user: Annotated[str, Param("not read")]
    input_type: Annotated[str, Param("of text; not read")]
    task: Annotated[str, Param("of text; not read")]
    truncation: Annotated[bool, Param("of text; not read")]
    truncate: Annotated[Any, Param("of text; not read", body_only=True)]
