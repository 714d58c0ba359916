"""Tensors on the wire: what goes in comes out, and nothing else does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serve.errors import BadRequest
from serve.oip.tensors import BYTES, DTYPES, check_declared, from_bytes, from_json, to_bytes


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_raw_tensors_come_back_as_they_were(data):
    datatype = data.draw(st.sampled_from(sorted(DTYPES)))
    array = data.draw(hnp.arrays(DTYPES[datatype], hnp.array_shapes(max_dims=3, max_side=4)))
    back = from_bytes("x", datatype, array.shape, to_bytes(array, datatype))
    np.testing.assert_array_equal(back.array, array)


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_bytes_tensors_come_back_as_they_were(entries):
    array = np.array(entries + [b""], dtype=object)
    assert list(from_bytes("x", BYTES, array.shape, to_bytes(array, BYTES)).array) == [*entries, b""]


@given(st.binary(max_size=40))
def test_torn_bytes_tensors_are_refused_or_read(raw):
    try:
        tensor = from_bytes("x", BYTES, [1], raw)
    except BadRequest:
        return
    assert to_bytes(tensor.array, BYTES) == raw


def test_json_data_may_be_flat_or_nested():
    for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
        np.testing.assert_array_equal(from_json("x", "UINT8", [2, 2], data).array, [[1, 2], [3, 4]])


@pytest.mark.parametrize("data", [[256], [-1], [1.5], ["1"], [None], [{}], [[1], [2, 3]], [1, 2], "1", [float("nan")]])
def test_json_data_that_is_no_uint8_is_refused(data):
    with pytest.raises(BadRequest):
        from_json("x", "UINT8", [1], data)


@pytest.mark.parametrize("datatype", ["UINT8", BYTES])
@pytest.mark.parametrize("shape", [[0, 2**63], [0, 2**40, 2**40]])
def test_sides_that_nobody_can_count_are_refused(datatype, shape):
    with pytest.raises(BadRequest, match="too long"):
        from_json("x", datatype, shape, [])


@pytest.mark.parametrize(
    ("name", "datatype", "shape"),
    [
        ("x", [], [1]),
        ("", "UINT8", [1]),
        ("x", "UINT9", [1]),
        ("x", "UINT8", [-1]),
        ("x", "UINT8", 1),
        ("x", "UINT8", [True]),
    ],
)
def test_a_declaration_that_is_not_of_the_protocol_is_refused(name, datatype, shape):
    with pytest.raises(BadRequest):
        check_declared(name, datatype, shape)
