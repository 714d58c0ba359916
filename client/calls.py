"""Every call of the service: its arguments, and the request that they make. Sends nothing itself.

The blocking and the asynchronous client have these functions as methods, with the same arguments.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from client import gallery_models as gallery
from client import gallery_options as g
from client import models
from client import operations as op
from client import options as o
from client import service_models as service
from client.request import Call, Image, call_of, file_of


def embed(image: Image, **options: Unpack[o.EmbedOptions]) -> Call[models.Embedding]:
    """A picture -> its embedding."""
    return call_of(op.EMBED, options, pictures={"file": image})


def embed_many(images: Sequence[Image], **options: Unpack[o.FramingOptions]) -> Call[NDArray[np.float32]]:
    """Pictures -> (N, 1024) float32, rows of length 1, in one request; with detect=all a row for each ear."""
    files = [base64.b64encode(file_of(image)).decode() for image in images]
    return call_of(op.EMBEDDINGS, {**options, "input": files, "encoding_format": "base64"}).then(_matrix)


def _matrix(answer: models.EmbeddingList) -> NDArray[np.float32]:
    rows = sorted(answer.data, key=lambda row: row.index)
    return np.stack([np.frombuffer(base64.b64decode(str(row.embedding)), "<f4") for row in rows])


def landmarks(image: Image, **options: Unpack[o.LandmarksOptions]) -> Call[models.Photo]:
    """A photo -> its ears with landmarks, in pixels."""
    return call_of(op.LANDMARKS, options, pictures={"file": image})


def reconstruct(image: Image, **options: Unpack[o.FramingOptions]) -> Call[models.Reconstruction]:
    """A picture -> what the model makes of it."""
    return call_of(op.RECONSTRUCT, {**options, "format": "json"}, pictures={"file": image})


def decode(
    latents: Sequence[o.Vector] | None = None,
    *,
    eigenears: Sequence[float] | None = None,
    side: o.Side = "unknown",
    space_id: str | None = None,
) -> Call[bytes]:
    """Latents (`mu`), or a position along the eigenears -> a PNG, several side by side."""
    options = {"latents": latents, "eigenears": eigenears, "side": side, "space_id": space_id, "format": "png"}
    call = call_of(op.DECODE, options)
    return Call(call.operation, call.path, lambda response: response.content, call.params, call.body)


def search(image: Image, **options: Unpack[o.SearchOptions]) -> Call[models.SearchAnswer]:
    """A picture -> the nearest ears, or with group="subject" the nearest persons."""
    return call_of(op.SEARCH, options, pictures={"file": image})


def search_item(item_id: str, **options: Unpack[o.SearchOptions]) -> Call[models.SearchAnswer]:
    """The nearest ears to a stored one, which is not among them."""
    return call_of(op.SEARCH, {**options, "item": item_id})


def search_vector(**options: Unpack[o.SearchOptions]) -> Call[models.SearchAnswer]:
    """The nearest ears to a ready vector (embedding=) of the space `space_id`."""
    return call_of(op.SEARCH, options)


def search_vectors(**options: Unpack[o.SearchOptions]) -> Call[list[models.Neighbours]]:
    """The nearest ears to each of several ready vectors (embeddings=) of the space `space_id`, in one request."""
    return call_of(op.SEARCH, options).then(lambda answer: answer.results or [])


def verify(a: Image, b: Image, **options: Unpack[o.VerifyOptions]) -> Call[models.Verdict]:
    """Two pictures -> are they one ear?"""
    return call_of(op.VERIFY, options, pictures={"a": a, "b": b})


def explain(image: Image, item: str, **options: Unpack[o.ExplainChoices]) -> Call[gallery.Explanation]:
    """Why a picture and a stored ear are near or far."""
    return call_of(op.EXPLAIN, {**options, "item": item}, pictures={"file": image})


def enrol(image: Image, **options: Unpack[g.EnrolOptions]) -> Call[gallery.Enrolled]:
    """Keep an ear; it is durable when this returns."""
    return call_of(op.ENROL, options, pictures={"file": image})


def enrol_many(
    images: Sequence[Image], labels: Sequence[g.PictureLabels] = (), **options: Unpack[g.EnrolManyChoices]
) -> Call[gallery.EnrolledMany]:
    """Keep several ears in one request; labels: of each picture, in order. Each has a status of its own."""
    return call_of(op.ENROL_MANY, {**options, "labels": labels or None}, pictures={"files": images})


def items(**options: Unpack[g.ItemsOptions]) -> Call[gallery.Page]:
    """One page of the gallery."""
    return call_of(op.ITEMS, options)


def item(item_id: str) -> Call[gallery.Item]:
    """One item."""
    return call_of(op.ITEM, item_id=item_id)


def image(item_id: str) -> Call[bytes]:
    """The stored picture of an item, as a file."""
    return call_of(op.ITEM_IMAGE, item_id=item_id)


def vectors(item_id: str, **options: Unpack[o.SpaceOptions]) -> Call[gallery.ItemVectors]:
    """The stored vectors of an item."""
    return call_of(op.ITEM_VECTORS, options, item_id=item_id)


def put(item_id: str, image: Image | None = None, **options: Unpack[g.PutOptions]) -> Call[gallery.Item]:
    """Give an item these labels and vectors (embedding=), whatever it had; a new item needs its picture, too."""
    picture = {} if image is None else {"image": base64.b64encode(file_of(image)).decode()}
    return call_of(op.PUT_ITEM, {**options, **picture}, item_id=item_id)


def change(item_id: str, **options: Unpack[g.ChangeOptions]) -> Call[gallery.Item]:
    """Change labels of an item; None clears."""
    return call_of(op.CHANGE, options, item_id=item_id)


def delete(item_id: str) -> Call[None]:
    """Delete an item."""
    return call_of(op.DELETE, item_id=item_id)


def delete_subject(subject: str) -> Call[int]:
    """Delete everything of one person; returns how many items that were."""
    return call_of(op.DELETE_SUBJECT, {"subject": subject}).then(lambda answer: answer.deleted)


def duplicates(**options: Unpack[g.DuplicatesOptions]) -> Call[gallery.Duplicates]:
    """Ears that were enrolled twice, among the next `limit` items."""
    return call_of(op.DUPLICATES, options)


def drift(**options: Unpack[g.DriftOptions]) -> Call[gallery.Drift]:
    """The last ears beside those before: is it time to retrain?"""
    return call_of(op.DRIFT, options)


def import_source(source: o.Folder, **options: Unpack[g.ImportChoices]) -> Call[gallery.Import]:
    """Begin to import a folder, CSV, .npy, Parquet or tar of the service's machine; Conflict while another runs."""
    return call_of(op.IMPORT, {**options, "source": source})


def imports() -> Call[list[gallery.Import]]:
    """The imports since the service started, the oldest first."""
    return call_of(op.IMPORTS).then(lambda answer: answer.imports)


def import_state(import_id: str) -> Call[gallery.Import]:
    """How far an import is."""
    return call_of(op.IMPORT_STATE, import_id=import_id)


def export_gallery(target: o.Folder, **options: Unpack[g.ExportChoices]) -> Call[gallery.Export]:
    """Copy the gallery to a new folder of the service's machine."""
    return call_of(op.EXPORT, {**options, "target": target})


def promote(bundle: o.Folder) -> Call[service.Promotion]:
    """Stage a bundle (a folder on the service's machine) as the next model."""
    return call_of(op.PROMOTE, {"bundle": bundle})


def promotion(promotion_id: str) -> Call[service.Promotion]:
    """A promotion: state, progress, report."""
    return call_of(op.PROMOTION, promotion_id=promotion_id)


def promotions() -> Call[list[service.Promotion]]:
    """All promotions, the oldest first."""
    return call_of(op.PROMOTIONS).then(lambda answer: answer.promotions)


def activate(promotion_id: str, **options: Unpack[o.ActivateOptions]) -> Call[service.Promotion]:
    """Flip model, index and thresholds."""
    return call_of(op.ACTIVATE, options, promotion_id=promotion_id)


def rollback(promotion_id: str) -> Call[service.Promotion]:
    """Let the old model answer again."""
    return call_of(op.ROLLBACK, promotion_id=promotion_id)


def retire(promotion_id: str) -> Call[service.Promotion]:
    """Unload the model that does not answer and delete its vectors."""
    return call_of(op.RETIRE, promotion_id=promotion_id)


def calibrate(**options: Unpack[o.CalibrateOptions]) -> Call[service.Calibration]:
    """Thresholds from the gallery's own labelled ears: `verify` decides by them from then on."""
    return call_of(op.CALIBRATE, options)


def calibrations() -> Call[list[service.Calibration]]:
    """The gallery's calibrations, the active space's first."""
    return call_of(op.CALIBRATIONS).then(lambda answer: answer.calibrations)


def list_models() -> Call[list[service.Model]]:
    """The models that the service holds, the active one first."""
    return call_of(op.MODELS).then(lambda answer: answer.data)


def model(model_id: str) -> Call[service.Model]:
    """One of them, by bundle_id, space_id or alias."""
    return call_of(op.MODEL, model_id=model_id)


def metrics() -> Call[str]:
    """Counts and times, in Prometheus' text format."""
    return call_of(op.METRICS)


def ready() -> Call[service.Readiness]:
    """What the service says of its readiness, by part."""
    return call_of(op.READY, any_status=True)
