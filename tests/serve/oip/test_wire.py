"""Requests on the wire that no client sends on purpose."""

import gzip
import json
import zlib

import pytest

from serve.errors import BadRequest, BodyTooLarge
from serve.http.content_encoding import inflate
from serve.oip.wire import RawInput, parse_request

RAW = RawInput("image", "UINT8", (1, 4))
INPUT = {"name": "image", "datatype": "UINT8", "shape": [1, 4]}


def document(**changes):
    return json.dumps({"inputs": [{**INPUT, "data": [1, 2, 3, 4]}], **changes}).encode()


def binary(size=4, tail=b"abcd"):
    head = json.dumps({"inputs": [{**INPUT, "parameters": {"binary_data_size": size}}]}).encode()
    return head + tail, str(len(head))


def test_json_and_binary_give_the_same_tensor():
    body, length = binary(tail=bytes([1, 2, 3, 4]))
    by_json, by_bytes = parse_request(document(), None, RAW), parse_request(body, length, RAW)
    assert by_json.inputs["image"].array.tolist() == by_bytes.inputs["image"].array.tolist() == [[1, 2, 3, 4]]


def test_a_body_without_json_is_the_models_one_input():
    request = parse_request(b"abcd", "0", RAW)
    assert request.inputs["image"].array.tobytes() == b"abcd"
    assert request.binary_default


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"", None),
        (b"[]", None),
        (b"{", None),
        (document(inputs="x"), None),
        (document(inputs=[1]), None),
        (document(inputs=[INPUT]), None),
        (document(parameters=[]), None),
        (document(outputs={"name": "x"}), None),
        (document(), "x"),
        (document(), "-1"),
        (document(), "99999"),
        (document(), "\N{SUPERSCRIPT TWO}"),
        (document(), "1" * 5000),
        (b"abc", "0"),
        binary(size=3),
        binary(size=5),
        binary(size=-4),
        binary(size="4"),
        binary(size=True),
    ],
)
def test_a_request_that_does_not_add_up_is_refused(body, length):
    with pytest.raises(BadRequest):
        parse_request(body, length, RAW)


@pytest.mark.parametrize("deep", ["[" * 1000 + '"1"' + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000])
@pytest.mark.parametrize("where", ["name", "datatype", "shape", "data", "parameters"])
def test_a_document_that_nests_without_end_is_refused(deep, where):
    whole = {"name": '"x"', "datatype": '"BYTES"', "shape": "[2]", "data": '["1"]'}
    entry = ", ".join(f'"{key}": {value}' for key, value in {**whole, where: deep}.items())
    for text in (f'{{"inputs": [{{{entry}}}]}}', f'{{"outputs": [{{"name": {deep}}}]}}'):
        with pytest.raises(BadRequest):
            parse_request(text.encode(), None, RAW)


def test_compressed_bodies_are_unpacked_up_to_a_limit():
    body = b"ear" * 1000
    assert inflate(gzip.compress(body), "gzip", 3000) == body
    assert inflate(zlib.compress(body), "deflate", 3000) == body
    with pytest.raises(BodyTooLarge):
        inflate(gzip.compress(body), "gzip", 2999)
    for broken in (b"", b"no", gzip.compress(body)[:-9]):
        with pytest.raises(BadRequest):
            inflate(broken, "gzip", 3000)
    with pytest.raises(BadRequest, match="allowed are"):
        inflate(body, "br", 3000)
