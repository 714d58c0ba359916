"""Neighbours in Milvus, for galleries past one machine: filters are expressions that Milvus evaluates as it searches.

One collection per space. Knows nothing of the truth; `milvus_space.py` keeps the two together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from index.errors import NeighboursUnavailable
from index.items import TAGS_LIMIT, TEXT_LIMIT
from index.neighbours import Entries, Keys, Label, Matrix, Selection, distinct, empty_result

BATCH = 1000  # rows per call: 4 MB at 1024 numbers, far below gRPC's limit
K_LIMIT = 16_384  # Milvus's own
TIMEOUT_S = 10.0  # of one call: others wait behind it
TEXT_BYTES = 4 * TEXT_LIMIT  # Milvus counts bytes, we count characters


class MilvusNeighbours:
    """See `Neighbours`. A subject or side that is unknown is stored as empty text."""

    def __init__(self, client: MilvusClient, collection: str, dim: int) -> None:
        self._client = client
        self._collection = collection
        self.dim = dim
        with reachable():
            self.created = not client.has_collection(collection, timeout=TIMEOUT_S)
            if self.created:
                create_collection(client, collection, dim)
            client.load_collection(collection, timeout=TIMEOUT_S)

    def put(self, entries: Entries) -> None:
        rows = [
            to_row(int(key), label, embedding)
            for key, label, embedding in zip(entries.keys, entries.labels, entries.embeddings, strict=True)
        ]
        with reachable():
            for start in range(0, len(rows), BATCH):
                self._client.upsert(self._collection, rows[start : start + BATCH], timeout=TIMEOUT_S)

    def relabel(self, key: int, label: Label) -> None:
        with reachable():
            rows = self._client.get(self._collection, ids=[key], output_fields=["embedding"], timeout=TIMEOUT_S)
            if rows:
                self._client.upsert(
                    self._collection, [to_row(key, label, np.array(rows[0]["embedding"]))], timeout=TIMEOUT_S
                )

    def remove(self, keys: Sequence[int]) -> None:
        with reachable():
            for start in range(0, len(keys), BATCH):
                self._client.delete(
                    self._collection, ids=[int(key) for key in keys[start : start + BATCH]], timeout=TIMEOUT_S
                )

    def search(self, queries: Matrix, k: int, selection: Selection | None) -> tuple[Keys, Matrix]:
        keys, cosines = empty_result(len(queries), k)
        if selection is not None and selection.keys == ():
            return keys, cosines
        expression = "" if selection is None else to_expression(selection)
        with reachable():
            answers = self._client.search(
                self._collection,
                queries.tolist(),
                filter=expression,
                limit=min(k, K_LIMIT),
                output_fields=["key"],
                timeout=TIMEOUT_S,
            )
        for row, hits in enumerate(answers):
            keys[row, : len(hits)] = [hit["key"] for hit in hits]
            cosines[row, : len(hits)] = [hit["distance"] for hit in hits]
        return distinct(keys, cosines, k)

    def __len__(self) -> int:
        with reachable():
            counted = self._client.query(self._collection, filter="", output_fields=["count(*)"], timeout=TIMEOUT_S)
            return int(counted[0]["count(*)"])

    def drop(self) -> None:
        """Delete the collection."""
        with reachable():
            self._client.drop_collection(self._collection, timeout=TIMEOUT_S)


@contextmanager
def reachable() -> Iterator[None]:
    """Turn Milvus's failures into ours."""
    try:
        yield
    except MilvusException as error:
        raise NeighboursUnavailable(
            f"Milvus does not answer as it should ({error}): what was enrolled is kept"
        ) from error


def create_collection(client: MilvusClient, collection: str, dim: int) -> None:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field("subject", DataType.VARCHAR, max_length=TEXT_BYTES)
    schema.add_field("side", DataType.VARCHAR, max_length=8)
    schema.add_field(
        "tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=TAGS_LIMIT, max_length=TEXT_BYTES
    )
    indexes = client.prepare_index_params()
    indexes.add_index("embedding", index_type="AUTOINDEX", metric_type="IP")  # unit vectors: inner product is cosine
    # Strong: a search sees every write that was acknowledged before it.
    client.create_collection(collection, schema=schema, index_params=indexes, consistency_level="Strong")


def to_row(key: int, label: Label, embedding: Matrix) -> dict[str, Any]:
    names = {"subject": label.subject or "", "side": label.side or "", "tags": list(label.tags)}
    return {"key": key, "embedding": np.asarray(embedding, np.float32).tolist(), **names}


def to_expression(selection: Selection) -> str:
    """A selection in Milvus's language; texts are JSON strings there, so nothing in them can end them."""
    parts = []
    if selection.subjects:
        parts.append(f"subject in {text(selection.subjects)}")
    if selection.exclude_subjects:
        parts.append(f"subject not in {text(selection.exclude_subjects)}")
    if selection.sides:
        parts.append(f"side in {text([side or '' for side in selection.sides])}")
    if selection.tags:
        parts.append(f"ARRAY_CONTAINS_ALL(tags, {text(selection.tags)})")
    if selection.keys is not None:
        parts.append(f"key in {list(selection.keys)}")
    if selection.exclude_keys:
        parts.append(f"key not in {list(selection.exclude_keys)}")
    return " and ".join(parts)


def text(values: Sequence[str]) -> str:
    return json.dumps(list(values), ensure_ascii=False)
