"""The whole evaluation of a model on pictures of people it was not trained on, as one tree of plain numbers.

Draws and writes nothing (`plots.py`, `report.py`); a figure that the data cannot give is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bundle.model import Encoding
from common.records.record import EarRecord
from measure.all_pairs import leave_one_out, verification
from measure.errors import MeasureError
from measure.protocol import Comparison, compare, evaluate
from training.data.crops import Examined, Framer, examine_all
from training.data.trained_on import Exposure, exposure
from training.evaluation.baselines import PCA_COMPONENTS, Bsif, PixelPca, hog, lbp
from training.evaluation.choice import Chosen, StudyConfig, pictures, slice_columns
from training.evaluation.identity import (
    by_side_knowledge,
    calibration,
    open_figures,
    sliced,
    summary,
    with_intervals,
)
from training.evaluation.model import StudiedModel, decode_all, encode_all
from training.evaluation.reconstruction import quality, quality_with_intervals, terms
from training.evaluation.side import predict_sides
from training.losses.perceptual import Vgg16Features

log = logging.getLogger(__name__)
Crops = NDArray[np.uint8]
T = TypeVar("T")
SIDE_PICTURES = 600
"""Most training pictures the side is learned from."""


class Study(NamedTuple):
    """The numbers, and what plots are drawn from."""

    results: dict[str, Any]
    """Plain JSON types."""
    comparisons: dict[str, Comparison]
    """Every query against the gallery, for the embedding and each baseline, by name."""
    crops: Crops
    reconstructions: Crops


class Judged(NamedTuple):
    """The pictures that figures are made of."""

    records: list[EarRecord]
    crops: Crops
    subjects: list[str]
    """One for each picture; a picture of an unknown subject is a subject of its own."""
    encoding: Encoding


def study(model: StudiedModel, config: StudyConfig, vgg: Vgg16Features | None = None) -> Study:
    """Judge `model`. Pictures of people that it was trained on are left out where others remain.

    Raises:
        DataError: no pictures that can be used.
        ConfigError: a column to slice by that is not there.
    """
    chosen = pictures(config)
    columns = slice_columns(chosen.judged, config.slices)
    framer = Framer(model.framing, config.crop == "box")
    examined = examine_all(chosen.judged, framer, "pictures")
    held = exposure(model.trained_on, examined.kept, examined.digests)
    log.info("%s", held.sentence)
    judged = _judged(model, examined, held)
    reconstructions = decode_all(model, judged.encoding.mu)
    results: dict[str, Any] = {
        "model": {"name": model.name, **model.facts},
        "data": _data_facts(config, chosen, examined, held, judged),
        "reconstruction": {
            **quality_with_intervals(judged.crops, reconstructions, judged.subjects, config.samples),
            "terms": terms(judged.crops, reconstructions, judged.encoding, config.losses, vgg),
        },
    }
    comparisons: dict[str, Comparison] = {}
    training = None
    if chosen.learned is not None:
        training = np.stack([item.crop for item in examine_all(chosen.learned, framer, "training pictures").items])
    pairs = _try(lambda: compare(judged.encoding.embedding, judged.subjects, config.gallery))
    if pairs is not None:
        comparisons["embedding"] = pairs
        kept = list(columns) if config.slices else []
        again = slice_columns(judged.records, kept)
        results["identity"] = _identity(model, judged, training, again, config, held.trustworthy)
    elif len(set(judged.subjects)) < len(judged.subjects):
        log.info("nobody has more than %d pictures: --gallery 1 leaves queries", config.gallery)
    embeddings = {"embedding": judged.encoding.embedding}
    if config.baselines:
        results["baselines"] = _baselines(judged, training, config.gallery, comparisons, embeddings)
    results["protocols"] = _protocols(embeddings, judged.subjects)
    return Study(results, comparisons, judged.crops, reconstructions)


def _judged(model: StudiedModel, examined: Examined, held: Exposure) -> Judged:
    rows = [row for row, keep in enumerate(held.held_out) if keep]
    records = [examined.kept[row] for row in rows]
    crops = np.stack([examined.items[row].crop for row in rows])
    subjects = [record.subject or f"picture {row}" for row, record in zip(rows, records, strict=True)]
    return Judged(records, crops, subjects, encode_all(model, crops, "pictures"))


def _data_facts(
    config: StudyConfig, chosen: Chosen, examined: Examined, held: Exposure, judged: Judged
) -> dict[str, Any]:
    refused = [*chosen.refused, *examined.refused]
    return {
        "name": config.data.name,
        "split": chosen.split,
        "trained_on": held.sentence,
        "held_out": held.trustworthy,
        "sha256": examined.sha256,
        "pictures": len(judged.records),
        "subjects": len({record.subject for record in judged.records if record.subject}),
        "left_out": len(examined.kept) - len(judged.records),
        "refused": len(refused),
        "refused_pictures": refused,
        "crop": config.crop,
        "protocol": f"the first {config.gallery} pictures of a subject are the gallery, the others are queries",
    }


def _identity(
    model: StudiedModel,
    judged: Judged,
    training: Crops | None,
    columns: dict[str, list[str | None]],
    config: StudyConfig,
    trustworthy: bool,
) -> dict[str, Any]:
    """Everything about finding people."""
    embedding, subjects, gallery = judged.encoding.embedding, judged.subjects, config.gallery
    mirrored = encode_all(model, np.ascontiguousarray(judged.crops[:, :, ::-1]), "mirror images")
    sides = [record.side for record in judged.records]
    ears = list(zip(subjects, sides, strict=True))
    figures: dict[str, Any] = {
        "subject": with_intervals(embedding, subjects, config.samples, gallery),
        "cosine_of_mu": summary(evaluate(judged.encoding.mu - judged.encoding.mu.mean(0), subjects, gallery)),
        "side": by_side_knowledge(embedding, mirrored.embedding, sides, subjects, gallery),
        "slices": sliced(embedding, columns, subjects, gallery),
    }
    if trustworthy:
        figures["calibration"] = calibration(embedding, subjects, gallery, config.name).to_dict()
    if (by_ear := _try(lambda: summary(evaluate(embedding, ears, gallery)))) is not None:
        figures["ear"] = by_ear
    if (strangers := _try(lambda: open_figures(embedding, subjects, gallery))) is not None:
        figures["open_set"] = strangers
    if training is not None:
        figures["side"] |= {"predicted": _predicted_side(model, training, judged, mirrored, gallery)}
    return figures


def _predicted_side(
    model: StudiedModel, training: Crops, judged: Judged, mirrored: Encoding, gallery: int
) -> dict[str, Any]:
    """Figures where the side is read from the latent, and how often it is read rightly."""
    some = training[:: max(len(training) // SIDE_PICTURES, 1)]
    turned = np.array([record.side == "right" for record in judged.records])
    posted = np.where(turned[:, None], mirrored.mu, judged.encoding.mu)
    left = encode_all(model, some, "for the side").mu
    right = encode_all(model, np.ascontiguousarray(some[:, :, ::-1]), "for the side").mu
    predicted_right = predict_sides(left, right, posted)
    correct = predicted_right == turned
    taken_as_left = np.where(correct[:, None], judged.encoding.embedding, mirrored.embedding)
    return {**summary(evaluate(taken_as_left, judged.subjects, gallery)), "accuracy": float(correct.mean())}


def _baselines(
    judged: Judged,
    training: Crops | None,
    gallery: int,
    comparisons: dict[str, Comparison],
    embeddings: dict[str, NDArray[np.float32]],
) -> dict[str, Any]:
    """HOG, LBP, BSIF and pixel PCA on the same crops and protocol; their vectors are added to `embeddings`."""
    figures: dict[str, Any] = {}

    def add(name: str, vectors: NDArray[np.float32]) -> None:
        embeddings[name] = vectors
        pairs = _try(lambda: compare(vectors, judged.subjects, gallery))
        figures[name] = {} if pairs is None else summary(evaluate(vectors, judged.subjects, gallery))
        if pairs is not None:
            comparisons[name] = pairs

    log.info("computing HOG, LBP and BSIF")
    add("HOG", hog(judged.crops))
    add("LBP", lbp(judged.crops))
    add("BSIF", Bsif.fit(judged.crops if training is None else training).describe(judged.crops))
    if training is None:
        return figures
    log.info("computing PCA")
    pca = PixelPca.fit(training, max(PCA_COMPONENTS))
    for count in (count for count in PCA_COMPONENTS if count <= len(pca.axes)):
        add(f"PCA-{count}", pca.embed(judged.crops, count))
        figures[f"PCA-{count}"] |= quality(judged.crops, pca.reconstruct(judged.crops, count))
    return figures


def _protocols(embeddings: dict[str, NDArray[np.float32]], subjects: Sequence[str]) -> dict[str, Any]:
    """Leave-one-out identification and all-against-all verification of each embedding, by its name."""
    rows: dict[str, Any] = {"leave_one_out": {}, "verification": {}}
    for name, vectors in embeddings.items():
        for protocol, measured in (
            ("leave_one_out", _try(lambda vectors=vectors: leave_one_out(vectors, subjects))),  # type: ignore[misc]
            ("verification", _try(lambda vectors=vectors: verification(vectors, subjects))),  # type: ignore[misc]
        ):
            if measured is not None:
                rows[protocol][name] = asdict(measured)
    return {protocol: figures for protocol, figures in rows.items() if figures}


def _try(work: Callable[[], T]) -> T | None:
    """None where the data says too little for the figure."""
    try:
        return work()
    except MeasureError:
        return None
