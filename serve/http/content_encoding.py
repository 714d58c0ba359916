"""gzip and deflate of request and response bodies, bounded in size."""

from __future__ import annotations

import zlib

from serve.errors import BadRequest, BodyTooLarge

WINDOW_BITS = {"gzip": 31, "deflate": 15}  # deflate means zlib here, as tritonclient sends it


def inflate(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Undo a Content-Encoding; at most `limit_bytes` may come out. Raises BadRequest, BodyTooLarge."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in WINDOW_BITS:
        raise BadRequest(f"Content-Encoding is {encoding[:40]!r}; allowed are gzip and deflate", "Content-Encoding")
    try:
        inflater = zlib.decompressobj(WINDOW_BITS[encoding])
        data = inflater.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise BadRequest(f"the body is no {encoding}: {error}", "Content-Encoding") from None
    if len(data) > limit_bytes:
        raise BodyTooLarge(f"the body unpacks to more than {limit_bytes} bytes")
    if not inflater.eof:
        raise BadRequest(f"the {encoding} body ends too early", "Content-Encoding")
    return data


def deflate(body: bytes, encoding: str) -> bytes:
    """Apply a Content-Encoding of WINDOW_BITS."""
    packer = zlib.compressobj(level=1, wbits=WINDOW_BITS[encoding])
    return packer.compress(body) + packer.flush()
