"""Identities: what moves them and what must not."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import ContractError
from bundle.fingerprint import bundle_id, canonical_json, space_id
from bundle.framing import Framing

TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2, np.float32)}
SHAPE = {"depth": 12, "sam_size_px": 1024}


def test_a_space_does_not_depend_on_order_or_memory_layout() -> None:
    turned = {"b": TENSORS["b"], "a": np.asfortranarray(TENSORS["a"])}
    assert space_id(TENSORS, SHAPE, Framing()) == space_id(turned, dict(reversed(SHAPE.items())), Framing())
    swapped = {name: tensor.astype(tensor.dtype.newbyteorder(">")) for name, tensor in TENSORS.items()}
    assert space_id(swapped, SHAPE, Framing()) == space_id(TENSORS, SHAPE, Framing())


def test_the_same_tensors_name_the_same_space_for_ever() -> None:
    # Written down: a change here would orphan every stored vector.
    assert space_id(TENSORS, SHAPE, Framing()) == "sp_5cf56060120b87a3defe3737420f5114"


def test_anything_that_moves_vectors_moves_the_space() -> None:
    names = {space_id(TENSORS, SHAPE, Framing())}
    names.add(space_id(TENSORS | {"b": TENSORS["b"] + np.float32(1e-6)}, SHAPE, Framing()))
    names.add(space_id({"a": TENSORS["a"].reshape(3, 2), "b": TENSORS["b"]}, SHAPE, Framing()))
    names.add(space_id({"a": TENSORS["a"], "c": TENSORS["b"]}, SHAPE, Framing()))
    names.add(space_id(TENSORS, SHAPE | {"depth": 6}, Framing()))
    names.add(space_id(TENSORS, SHAPE, Framing(margin=0.2)))
    assert len(names) == 6


def test_a_half_precision_copy_names_no_space() -> None:
    with pytest.raises(ContractError, match="tensor w is float16"):
        space_id({"w": np.ones(3, np.float16)}, {}, Framing())


def test_a_counter_may_be_an_integer() -> None:
    assert space_id({"batches": np.asarray(3)}, {}, Framing()).startswith("sp_")


def test_a_bundle_id_ignores_itself_and_key_order() -> None:
    assert bundle_id({"a": 1, "b": 2.5}) == bundle_id({"b": 2.5, "a": 1, "bundle_id": "bd_x"})
    assert bundle_id({"a": 1}) != bundle_id({"a": 2})


def test_what_json_cannot_hold_is_refused() -> None:
    for value in (float("nan"), {1, 2}, b"x"):
        with pytest.raises(ContractError, match="JSON"):
            canonical_json({"x": value})
