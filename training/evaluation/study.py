"""The whole evaluation of a model on pictures of people it was not trained on, as one tree of plain numbers.

Draws and writes nothing (`plots.py`, `report.py`); a figure that the data cannot give is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bundle.model import Encoding
from measure.errors import MeasureError
from measure.protocol import Comparison, compare
from training.config import LossWeights
from training.data.crops import Framer, Survey, frame_all
from training.data.records import EarRecord, load_records
from training.data.splits import TRAIN_FILE, VAL_FILE
from training.errors import ConfigError
from training.evaluation.baselines import PCA_COMPONENTS, PixelPca, hog
from training.evaluation.identity import (
    by_side_knowledge,
    calibration,
    open_figures,
    sliced,
    summary,
    with_intervals,
)
from training.evaluation.model import StudiedModel, Told, decode_all, encode_all
from training.evaluation.reconstruction import quality, quality_with_intervals, terms
from training.evaluation.side import predict_sides
from training.losses.perceptual import Vgg16Features

Crops = NDArray[np.uint8]
T = TypeVar("T")
SIDE_PICTURES = 600
"""Most training pictures the side is learned from."""


@dataclass(frozen=True)
class StudyConfig:
    """What to judge, and on what."""

    data: Path
    train: Path | None = None
    """What PCA and the reader of sides learn from; None: the training part beside `data`, where there is one."""
    crop: str = "box"
    baselines: bool = True
    samples: int = 200
    """Bootstrap resamplings behind each interval."""
    losses: LossWeights = field(default_factory=lambda: LossWeights(perceptual=0.0))

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ConfigError(f"--samples {self.samples}: must be at least 2")


class Study(NamedTuple):
    """The numbers, and what plots are drawn from."""

    results: dict[str, Any]
    """Plain JSON types."""
    comparisons: dict[str, Comparison]
    """Every query against the gallery, for the embedding and each baseline, by name."""
    crops: Crops
    reconstructions: Crops


def study(
    model: StudiedModel, config: StudyConfig, vgg: Vgg16Features | None = None, tell: Told = lambda *_: None
) -> Study:
    """Judge `model`.

    Raises:
        DataError: no pictures that can be used.
    """
    judged, learned = pictures(config)
    framer = Framer(model.framing, config.crop == "box")
    found = frame_all(judged, framer, "pictures", tell)
    crops = np.stack([item.crop for item in found.items])
    encoding = encode_all(model, crops, "pictures", tell)
    reconstructions = decode_all(model, encoding.mu, tell)
    subjects = [record.subject or f"picture {number}" for number, record in enumerate(found.kept)]
    results: dict[str, Any] = {
        "model": {"name": model.name, **model.facts},
        "data": _data_facts(config, found, learned),
        "reconstruction": {
            **quality_with_intervals(crops, reconstructions, subjects, config.samples),
            "terms": terms(crops, reconstructions, encoding, config.losses, vgg),
        },
    }
    comparisons: dict[str, Comparison] = {}
    known = _try(lambda: compare(encoding.embedding, subjects))
    if known is not None:
        comparisons["embedding"] = known
        mirrored = encode_all(model, np.ascontiguousarray(crops[:, :, ::-1]), "mirror images", tell)
        results["identity"] = _identity(encoding, mirrored, found.kept, subjects, config)
    if learned is not None:
        training = np.stack([item.crop for item in frame_all(learned, framer, "training pictures", tell).items])
        if known is not None:
            results["identity"]["side"] |= _predicted_side(model, training, encoding, mirrored, found.kept, subjects)
    else:
        training = None
    if config.baselines:
        results["baselines"] = _baselines(crops, training, subjects, comparisons, tell)
    return Study(results, comparisons, crops, reconstructions)


def pictures(config: StudyConfig) -> tuple[list[EarRecord], list[EarRecord] | None]:
    """The pictures to judge the model on, and those that baselines learn from."""
    source, train = config.data, config.train
    if (source / VAL_FILE).is_file():
        source = source / VAL_FILE
    if train is None and source.name == VAL_FILE and (source.parent / TRAIN_FILE).is_file():
        train = source.parent / TRAIN_FILE
    records = load_records(source)
    parts = {name: [r for r in records if r.attributes.get("split") == name] for name in ("train", "val")}
    if parts["val"] and train is None:
        return parts["val"], parts["train"] or None
    return parts["val"] or records, load_records(train) if train is not None else None


def _data_facts(config: StudyConfig, found: Survey, learned: list[EarRecord] | None) -> dict[str, Any]:
    people = {record.subject for record in found.kept if record.subject}
    seen = None if learned is None else len(people & {record.subject for record in learned})
    return {
        "name": config.data.name,
        "sha256": found.sha256,
        "pictures": len(found.kept),
        "subjects": len(people),
        "refused": len(found.refused),
        "crop": config.crop,
        "protocol": "the first two pictures of a subject are the gallery, the others are queries",
        "subjects_seen_in_training": seen,
    }


def _identity(
    encoding: Encoding,
    mirrored: Encoding,
    records: list[EarRecord],
    subjects: list[str],
    config: StudyConfig,
) -> dict[str, Any]:
    """Everything about finding people."""
    ears = [(subject, record.side) for subject, record in zip(subjects, records, strict=True)]
    sides = [record.side for record in records]
    found: dict[str, Any] = {
        "subject": with_intervals(encoding.embedding, subjects, config.samples),
        "cosine_of_mu": summary_of(encoding.mu - encoding.mu.mean(0), subjects),
        "side": by_side_knowledge(encoding.embedding, mirrored.embedding, sides, subjects),
        "slices": sliced(encoding.embedding, records, subjects),
        "calibration": calibration(encoding.embedding, subjects).to_dict(),
    }
    if (one_ear := _try(lambda: summary_of(encoding.embedding, ears))) is not None:
        found["ear"] = one_ear
    if (strangers := _try(lambda: open_figures(encoding.embedding, subjects))) is not None:
        found["open_set"] = strangers
    return found


def summary_of(embedding: NDArray[np.float32], identities: Sequence[Any]) -> dict[str, Any]:
    """Plain figures of one embedding."""
    from measure.protocol import evaluate

    return summary(evaluate(embedding, identities))


def _predicted_side(
    model: StudiedModel,
    training: Crops,
    encoding: Encoding,
    mirrored: Encoding,
    records: list[EarRecord],
    subjects: list[str],
) -> dict[str, Any]:
    """Figures where the side is read from the latent, and how often it is read rightly."""
    some = training[:: max(len(training) // SIDE_PICTURES, 1)]
    turned = np.array([record.side == "right" for record in records])
    posted = np.where(turned[:, None], mirrored.mu, encoding.mu)
    left = encode_all(model, some, "for the side").mu
    right = encode_all(model, np.ascontiguousarray(some[:, :, ::-1]), "for the side").mu
    said_right = predict_sides(left, right, posted)
    taken_as_left = np.where((said_right == turned)[:, None], encoding.embedding, mirrored.embedding)
    return {"predicted": {**summary_of(taken_as_left, subjects), "accuracy": float((said_right == turned).mean())}}


def _baselines(
    crops: Crops, training: Crops | None, subjects: list[str], comparisons: dict[str, Comparison], tell: Told
) -> dict[str, Any]:
    """HOG and pixel PCA on the same crops and protocol."""
    tell("computing HOG", 0, 1)
    found: dict[str, Any] = {"HOG": _baseline("HOG", hog(crops), subjects, comparisons)}
    if training is None:
        return found
    tell("computing PCA", 0, 1)
    pca = PixelPca.fit(training, max(PCA_COMPONENTS))
    for count in PCA_COMPONENTS:
        if count > len(pca.axes):
            continue
        name = f"PCA-{count}"
        figures = _baseline(name, pca.embed(crops, count), subjects, comparisons)
        found[name] = {**figures, **quality(crops, pca.reconstruct(crops, count))}
    return found


def _baseline(
    name: str, embedding: NDArray[np.float32], subjects: list[str], comparisons: dict[str, Comparison]
) -> dict[str, Any]:
    pairs = _try(lambda: compare(embedding, subjects))
    if pairs is None:
        return {}
    comparisons[name] = pairs
    return summary_of(embedding, subjects)


def _try(work: Callable[[], T]) -> T | None:
    """None where the data says too little for the figure."""
    try:
        return work()
    except MeasureError:
        return None
