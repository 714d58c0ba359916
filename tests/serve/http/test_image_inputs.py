"""Every shape in which clients send pictures is understood; every other is refused by its place."""

import base64

import pytest

from serve.errors import BadRequest
from serve.http.image_inputs import Remote, picture_sources

DATA = b"\xff\xd8\xff some picture"
RAW = base64.b64encode(DATA).decode()
URI = "data:image/jpeg;base64," + RAW
URL = "https://ears.example/a.jpg"
MESSAGE = {
    "role": "user",
    "content": [
        {"type": "image_url", "image_url": {"url": URI}},
        {"type": "text", "text": "Represent the given image."},
    ],
}

ONE = {
    "openai string": {"input": URI},
    "openai list": {"input": [URI]},
    "raw base64": {"input": RAW},
    "base64 in lines": {"input": RAW[:8] + "\n" + RAW[8:]},
    "jina image": {"input": [{"image": RAW}]},
    "jina url": {"input": [{"url": URI}]},
    "jina bytes": {"input": [{"bytes": RAW}]},
    "chat part with an object": {"input": [{"type": "image_url", "image_url": {"url": URI}}]},
    "chat part with a string": {"input": [{"type": "image_url", "image_url": URI}]},
    "voyage part": {"input": [{"type": "image_base64", "image_base64": URI}]},
    "voyage": {"inputs": [{"content": [{"type": "image_base64", "image_base64": URI}]}]},
    "cohere images": {"images": [URI]},
    "cohere inputs": {"inputs": [{"content": [{"type": "image_url", "image_url": {"url": URI}}]}]},
    "vllm conversation": {"messages": [MESSAGE]},
    "vllm conversation in input": {"input": [[MESSAGE]]},
    "capitals": {"input": "DATA:image/png;BASE64," + RAW},
}


@pytest.mark.parametrize("shape", ONE)
def test_a_shape_that_clients_send_gives_its_picture(shape):
    assert [source for _, source in picture_sources(ONE[shape])] == [DATA]


def test_a_list_keeps_its_order_and_names_each_place():
    other = base64.b64encode(b"other").decode()
    found = picture_sources({"input": [URI, {"image": other}]})
    assert found == [("input[0]", DATA), ("input[1]", b"other")]


def test_conversations_in_a_batch_give_one_picture_each():
    assert picture_sources({"messages": [[MESSAGE], [MESSAGE]]}) == [("messages[0]", DATA), ("messages[1]", DATA)]


def test_a_percent_encoded_data_uri_is_read():
    assert picture_sources({"input": "data:image/bmp,BM%00%01"}) == [("input", b"BM\x00\x01")]


@pytest.mark.parametrize("entry", [URL, {"image": URL}, {"type": "image_url", "image_url": {"url": URL}}])
def test_a_url_comes_back_as_remote(entry):
    assert picture_sources({"input": [entry]}) == [("input[0]", Remote(URL))]


BAD = {
    "nothing": ({}, "exactly one"),
    "two at once": ({"input": URI, "images": [URI]}, "exactly one"),
    "an empty list": ({"input": []}, "no picture"),
    "tokens": ({"input": [[1, 2, 3]]}, r"input\[0\]"),
    "a number": ({"input": [7]}, r"input\[0\] is int"),
    "text": ({"input": ["hello world"]}, r"input\[0\] is 'hello world'"),
    "an empty string": ({"input": ""}, "input is empty"),
    "a text object": ({"input": [{"text": "an ear"}]}, "no picture"),
    "two pictures in a conversation": ({"messages": [MESSAGE, MESSAGE]}, "2 pictures"),
    "messages that are none": ({"messages": "hello"}, "not a list"),
    "a message without content": ({"messages": [{"role": "user"}]}, "no list 'content'"),
    "a data URI without comma": ({"input": "data:image/png;base64"}, "without a comma"),
    "null inside": ({"input": [None]}, "NoneType"),
    "nested emptiness": ({"input": [{"image_url": {"url": None}}]}, "no picture"),
}


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_refused_with_its_place(case):
    body, words = BAD[case]
    with pytest.raises(BadRequest, match=words):
        picture_sources(body)


def test_endless_nesting_is_refused():
    entry = {"image": URI}
    for _ in range(2000):
        entry = {"image": entry}
    with pytest.raises(BadRequest):
        picture_sources({"input": [entry]})
