"""Small damages to files and documents, as fuzzers make them: bits, bytes, lengths, pieces; and what to damage."""

from __future__ import annotations

import random

TELLING = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"{",
    b"[" * 50,
    b'"',
    b"1e999",
    b"\xb2",
    b"9" * 5000,
)

JSON_BODIES = {
    "/v1/embeddings": b'{"model": "ear-teacher", "input": ["data:image/png;base64,AAAA"], "encoding_format": "float"}',
    "/v1/search": b'{"embedding": [1.0, 0.5, -1.0], "space_id": "sp_x", "k": 5, "threshold": 0.5}',
    "/v1/decode": b'{"eigenears": [0.5, -1.5], "side": "left"}',
    "/v2/models/ear-decoder/infer": (
        b'{"inputs": [{"name": "latent", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}'
    ),
}

HEADERS = {
    "Host": b"127.0.0.1:8350",
    "Origin": b"http://127.0.0.1:8350",
    "Authorization": b"Bearer ear_key",
    "X-Request-Id": b"abc-123",
    "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Content-Type": b"multipart/form-data; boundary=x",
    "Content-Length": b"96",
    "Content-Encoding": b"gzip",
    "Inference-Header-Content-Length": b"96",
    "Accept": b"application/json;q=0.9, image/png",
    "Accept-Encoding": b"gzip, deflate;q=0.5",
    "Range": b"bytes=0-100, 200-",
}


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A copy with one to eight damages."""
    body = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(len(body) + 1)
        rng.choice((_flip, _overwrite, _insert, _cut, _repeat))(body, min(at, max(0, len(body) - 1)), rng)
    return bytes(body)


def mutated_header(value: bytes, rng: random.Random) -> bytes:
    """A damaged value that still passes as one: servers themselves refuse line ends and NUL."""
    return mutated(value, rng).translate(None, b"\r\n\0")


def _flip(body: bytearray, at: int, rng: random.Random) -> None:
    if body:
        body[at] ^= 1 << rng.randrange(8)


def _overwrite(body: bytearray, at: int, rng: random.Random) -> None:
    piece = rng.choice(TELLING)
    body[at : at + len(piece)] = piece


def _insert(body: bytearray, at: int, rng: random.Random) -> None:
    body[at:at] = rng.choice(TELLING)


def _cut(body: bytearray, at: int, rng: random.Random) -> None:
    del body[at : at + rng.randint(1, 1 + len(body) // 4)]


def _repeat(body: bytearray, at: int, rng: random.Random) -> None:
    body[at:at] = body[at : at + rng.randint(1, 64)]
