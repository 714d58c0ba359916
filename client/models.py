"""What the service answers about pictures and vectors: the JSON's names and shapes, defined once.

The clients read these, the service answers with them and describes them in its OpenAPI document. A field with the
default None is left out of an answer that has nothing to say under it. `bytes` are PNG files, in JSON `data:` URIs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from client.options import Side, Vector

Timings = dict[str, float]
"""Milliseconds: decode, queue, compute, index (of searches), total."""


@dataclass(frozen=True)
class Quality:
    """Of one crop.

    psnr_db, ssim: reconstruction against the crop. sharpness: variance of the Laplacian of the luminance, 0 for a flat
    picture. ear_likeness: 0 to 1; ear_likeness_from: "landmarks" where it is how sure the encoder is of the ear's
    landmarks, "reconstruction" where the bundle says no more than how well the crop is redrawn, as plain pictures are
    too. blurred: against the golden crops.
    """

    psnr_db: float
    ssim: float
    sharpness: float
    ear_likeness: float
    ear_likeness_from: str
    blurred: bool


@dataclass(frozen=True)
class DetectedEar:
    """Where a detector saw an ear. box: x1, y1, x2, y2 in pixels of the upright photo.

    side: as the ear was taken, predicted unless the caller named it; side_probability: of that prediction, 0 to 1.
    score: how certain the detector is that it is an ear, 0 to 1.
    """

    box: list[float]
    score: float
    side: Side
    side_probability: float


@dataclass(frozen=True, kw_only=True)
class Detected:
    """With detect: which ear this answer is about, as `DetectedEar`. ears_found: how many the photo shows.

    Without it, and where the side was not named, side_probability is that of the side by the encoder's certainty.
    """

    box: list[float] | None = None
    score: float | None = None
    side_probability: float | None = None
    ears_found: int | None = None


@dataclass(frozen=True, kw_only=True)
class EmbeddedEar(DetectedEar):
    """One ear of a photo. embedding, mu: (1024,) float32; the first has length 1."""

    embedding: Vector
    mu: Vector | None = None
    quality: Quality | None = None
    eigenears: list[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Embedding(Detected):
    """One ear. embedding, mu: (1024,) float32; the first has length 1. eigenears: standard deviations along each.

    ears: with detect=all, each ear of the photo, the most certain first.
    """

    embedding: Vector
    side: Side
    space_id: str
    bundle_id: str
    timing_ms: Timings
    mu: Vector | None = None
    quality: Quality | None = None
    eigenears: list[float] | None = None
    ears: list[EmbeddedEar] | None = None


@dataclass(frozen=True, kw_only=True)
class EmbeddingRow(Detected):
    """One vector of an OpenAI-compatible answer. input: with detect=all, the number of the picture that shows the ear.

    side: with detect, the ear's; else only where the encoder's certainty decided it.
    """

    object: str
    index: int
    embedding: Vector | str
    side: Side | None = None
    input: int | None = None


@dataclass(frozen=True)
class Usage:
    """OpenAI's, Jina's and Voyage's names; pictures cost no tokens here."""

    prompt_tokens: int = 0
    total_tokens: int = 0
    text_tokens: int = 0
    image_pixels: int = 0
    video_pixels: int = 0


@dataclass(frozen=True)
class EmbeddingList:
    """The answer of /v1/embeddings. model: the bundle_id of the model that answered."""

    object: str
    data: list[EmbeddingRow]
    id: str
    created: int
    model: str
    space_id: str
    bundle_id: str
    usage: Usage


@dataclass(frozen=True)
class Landmark:
    """A named place of an ear, pixels of the upright photo. visibility: probability that it is seen, not covered."""

    name: str
    x: float
    y: float
    visibility: float


@dataclass(frozen=True)
class Ear(DetectedEar):
    """An ear in a photo with its landmarks."""

    landmarks: list[Landmark]


@dataclass(frozen=True)
class Photo:
    """A photo, its size in pixels, and its ears, the most certain first."""

    ears: list[Ear]
    width: int
    height: int
    space_id: str
    bundle_id: str
    timing_ms: Timings


@dataclass(frozen=True, kw_only=True)
class ReconstructedEar(DetectedEar):
    """image, input: the reconstruction and the framed crop, as PNG files. psnr_db, ssim: of one against the other."""

    image: bytes
    input: bytes
    psnr_db: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Detected):
    """What the model makes of a picture, as `ReconstructedEar`; ears: with detect=all, each ear of the photo."""

    image: bytes
    input: bytes
    psnr_db: float
    ssim: float
    side: Side
    space_id: str
    bundle_id: str
    timing_ms: Timings
    ears: list[ReconstructedEar] | None = None


@dataclass(frozen=True)
class DecodedLatents:
    """A picture for each latent."""

    images: list[bytes]
    space_id: str
    bundle_id: str
    timing_ms: Timings


@dataclass(frozen=True)
class Hit:
    """A found ear. similarity: cosine, -1 to 1."""

    rank: int
    item_id: str
    subject: str | None
    side: Side
    similarity: float
    tags: list[str]
    source: str | None
    created: str
    image_url: str


@dataclass(frozen=True)
class SubjectHit:
    """A found person with the nearest of their ears; an ear without a subject stands for itself."""

    rank: int
    subject: str | None
    similarity: float
    hits: list[Hit]


@dataclass(frozen=True)
class Neighbours:
    """The nearest ears, best first; with group=subject the nearest persons instead. The other list is empty."""

    hits: list[Hit] = field(default_factory=list)
    subjects: list[SubjectHit] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class EarNeighbours(DetectedEar):
    """An ear of a photo, and its `Neighbours`."""

    hits: list[Hit] = field(default_factory=list)
    subjects: list[SubjectHit] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SearchAnswer(Detected):
    """`Neighbours`; results: of several vectors, one for each. side: that the ear was taken for, if it was not named.

    centred: similarities are of vectors less the gallery's mean. ears: with detect=all, the answer to each ear of the
    photo, the most certain first.
    """

    hits: list[Hit] = field(default_factory=list)
    subjects: list[SubjectHit] = field(default_factory=list)
    searched: int
    centred: bool
    space_id: str
    bundle_id: str
    timing_ms: Timings
    side: Side | None = None
    results: list[Neighbours] | None = None
    ears: list[EarNeighbours] | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether two pictures show one ear.

    probability: that it is one ear, for even prior odds, on pictures like those that `calibrated_on` names (None
    without a calibration). same: accepted at `threshold`; None where neither the gallery's own calibration nor a
    threshold of the caller's is there to decide by: `reason` says so. far: the false-accept rate that the threshold
    keeps to; it accepted the share `tar` of genuine pairs, and `false_accepts` of the `impostor_pairs` of different
    people, when it was measured on the `genuine_pairs` of `subjects` people. centred: similarities are of vectors less
    the gallery's mean. Where several comparisons are made the best is judged: `far` is an upper bound then, and
    `probability` and `tar` are lower bounds. sides: that the ears were taken for; side_probabilities: of those that the
    encoder's certainty decided, null for the others. detected, ears_found: with detect, of a and of b.
    """

    similarity: float
    probability: float | None
    same: bool | None
    reason: str | None
    far: float | None
    threshold: float | None
    tar: float | None
    calibrated: bool
    calibrated_on: str | None
    sides: list[Side]
    space_id: str
    bundle_id: str
    timing_ms: Timings
    centred: bool | None = None
    subjects: int | None = None
    genuine_pairs: int | None = None
    impostor_pairs: int | None = None
    false_accepts: int | None = None
    side_probabilities: list[float | None] | None = None
    detected: list[DetectedEar] | None = None
    ears_found: list[int] | None = None


@dataclass(frozen=True)
class Component:
    """An eigenear on which two ears agree or differ. query, item: standard deviations; share: of the similarity."""

    component: int
    query: float
    item: float
    share: float
