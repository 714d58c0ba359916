"""Every operation of the service under /v1, once: method, path, parameters, answer.

The service's routes and OpenAPI document, both clients and `ear-teacher call` follow from this table. A new
parameter is one line in `client.options`, a new field of an answer one line in `client.models` and its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from client import gallery_models as gallery
from client import gallery_options as g
from client import models
from client import options as o
from client import service_models as service

OptionsT = TypeVar("OptionsT")
AnswerT = TypeVar("AnswerT")
FILE = ("file",)


@dataclass(frozen=True)
class Operation(Generic[OptionsT, AnswerT]):
    """One operation.

    path: may hold {names}. options: a typed dictionary of its parameters, which the service takes from the query, a
    form or JSON alike. answer: a dataclass; `bytes` and `str` for bodies that are no JSON; NoneType for none. pictures:
    names of the picture files that it takes; many: several under the one name. sent_in: where the clients put the
    parameters. is_safe: sending it twice
    does no harm, so it is sent again after a broken connection. takes_long: its time grows with the gallery.
    """

    method: str
    path: str
    options: type[OptionsT]
    answer: type[AnswerT]
    pictures: tuple[str, ...] = ()
    many: bool = False
    sent_in: Literal["query", "form", "json"] = "query"
    status: int = 200
    is_safe: bool = True
    takes_long: bool = False


EMBED = Operation("POST", "/v1/embed", o.EmbedOptions, models.Embedding, FILE)
EMBEDDINGS = Operation(
    "POST", "/v1/embeddings", o.EmbeddingsOptions, models.EmbeddingList, pictures=("input",), sent_in="json"
)
LANDMARKS = Operation("POST", "/v1/landmarks", o.LandmarksOptions, models.Photo, FILE)
RECONSTRUCT = Operation("POST", "/v1/reconstruct", o.ReconstructOptions, models.Reconstruction, FILE)
DECODE = Operation("POST", "/v1/decode", o.DecodeOptions, models.DecodedLatents, sent_in="json")
SEARCH = Operation("POST", "/v1/search", o.SearchOptions, models.SearchAnswer, FILE)
VERIFY = Operation("POST", "/v1/verify", o.VerifyOptions, models.Verdict, ("a", "b"), sent_in="form")
EXPLAIN = Operation("POST", "/v1/explain", o.ExplainOptions, gallery.Explanation, FILE)

ENROL = Operation(
    "POST", "/v1/gallery/items", g.EnrolOptions, gallery.Enrolled, FILE, sent_in="form", status=201, is_safe=False
)
ENROL_MANY = Operation(
    "POST",
    "/v1/gallery/items/batch",
    g.EnrolManyOptions,
    gallery.EnrolledMany,
    ("files",),
    many=True,
    sent_in="form",
    is_safe=False,
)
ITEMS = Operation("GET", "/v1/gallery/items", g.ItemsOptions, gallery.Page)
ITEM = Operation("GET", "/v1/gallery/items/{item_id}", o.NoOptions, gallery.Item)
ITEM_IMAGE = Operation("GET", "/v1/gallery/items/{item_id}/image", o.NoOptions, bytes)
ITEM_VECTORS = Operation("GET", "/v1/gallery/items/{item_id}/vectors", o.SpaceOptions, gallery.ItemVectors)
PUT_ITEM = Operation("PUT", "/v1/gallery/items/{item_id}", g.PutOptions, gallery.Item, FILE, sent_in="json")
CHANGE = Operation("PATCH", "/v1/gallery/items/{item_id}", g.ChangeOptions, gallery.Item, sent_in="json")
DELETE = Operation("DELETE", "/v1/gallery/items/{item_id}", o.NoOptions, type(None), status=204, is_safe=False)
DELETE_SUBJECT = Operation("DELETE", "/v1/gallery/subjects", g.DeleteSubjectOptions, gallery.Deleted)
DUPLICATES = Operation("GET", "/v1/gallery/duplicates", g.DuplicatesOptions, gallery.Duplicates)
DRIFT = Operation("GET", "/v1/gallery/drift", g.DriftOptions, gallery.Drift)

IMPORT = Operation(
    "POST", "/v1/gallery/imports", g.ImportOptions, gallery.Import, sent_in="json", status=202, is_safe=False
)
IMPORTS = Operation("GET", "/v1/gallery/imports", o.NoOptions, gallery.ImportList)
IMPORT_STATE = Operation("GET", "/v1/gallery/imports/{import_id}", o.NoOptions, gallery.Import)
EXPORT = Operation(
    "POST",
    "/v1/gallery/exports",
    g.ExportOptions,
    gallery.Export,
    sent_in="json",
    status=201,
    is_safe=False,
    takes_long=True,
)

PROMOTE = Operation(
    "POST", "/v1/promotions", o.PromoteOptions, service.Promotion, sent_in="json", status=202, is_safe=False
)
PROMOTIONS = Operation("GET", "/v1/promotions", o.NoOptions, service.PromotionList)
PROMOTION = Operation("GET", "/v1/promotions/{promotion_id}", o.NoOptions, service.Promotion)
ACTIVATE = Operation(
    "POST",
    "/v1/promotions/{promotion_id}/activate",
    o.ActivateOptions,
    service.Promotion,
    sent_in="json",
    is_safe=False,
)
ROLLBACK = Operation("POST", "/v1/promotions/{promotion_id}/rollback", o.NoOptions, service.Promotion, is_safe=False)
RETIRE = Operation("POST", "/v1/promotions/{promotion_id}/retire", o.NoOptions, service.Promotion, is_safe=False)

CALIBRATE = Operation(
    "POST",
    "/v1/calibrations",
    o.CalibrateOptions,
    service.Calibration,
    sent_in="json",
    status=201,
    takes_long=True,
)
CALIBRATIONS = Operation("GET", "/v1/calibrations", o.NoOptions, service.CalibrationList)

MODELS = Operation("GET", "/v1/models", o.NoOptions, service.ModelList)
MODEL = Operation("GET", "/v1/models/{model_id}", o.NoOptions, service.Model)
LIVE = Operation("GET", "/health/live", o.NoOptions, service.Liveness)
READY = Operation("GET", "/health/ready", o.NoOptions, service.Readiness)
METRICS = Operation("GET", "/metrics", o.NoOptions, str)

AnyOperation = Operation[Any, Any]
