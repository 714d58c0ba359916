"""Every shape in which clients send pictures for embedding -> picture files, in order.

OpenAI (`input`: a string or a list), infinity (data URIs), Jina (`{"image": …}`), OpenAI chat and vLLM (`image_url` as
an object or a string, `messages`), Voyage (`image_base64`, `inputs` with `content`), Cohere (`images`). A string is a
data URI, raw base64, or a URL. Knows no HTTP: a URL comes back as `Remote`, for the caller to fetch or refuse.
"""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from serve.errors import BadRequest

ALLOWED = (
    "a data URI ('data:image/jpeg;base64,…'), raw base64, {'image': …}, {'type': 'image_url', 'image_url': …} or "
    "{'type': 'image_base64', 'image_base64': …}"
)


@dataclass(frozen=True)
class Remote:
    """A picture that lies behind a URL."""

    url: str


Source = bytes | Remote


def picture_sources(body: dict[str, Any]) -> list[tuple[str, Source]]:
    """(where in the body, picture) for each picture asked about: one embedding each, in this order."""
    fields = [name for name in ("input", "inputs", "images", "messages") if body.get(name) is not None]
    if len(fields) != 1:
        raise BadRequest(f"give exactly one of input, inputs, images and messages; given: {fields or 'none'}", "input")
    name = fields[0]
    value = body[name]
    pictures = list(_conversations(value, name) if name == "messages" else _entries(value, name))
    if not pictures:
        raise BadRequest(f"{name} has no picture; give {ALLOWED}", name)
    return pictures


def _entries(value: Any, where: str) -> Iterator[tuple[str, Source]]:
    if not isinstance(value, list):
        yield where, picture_of(value, where)
        return
    for index, entry in enumerate(value):
        place = f"{where}[{index}]"
        if _is_conversation(entry):
            yield place, _single(entry, place)
        else:
            yield place, picture_of(entry, place)


def _conversations(value: Any, where: str) -> Iterator[tuple[str, Source]]:
    """vLLM: one conversation gives one vector; a list of conversations gives one each."""
    if not isinstance(value, list) or not value:
        raise BadRequest(f"{where} is not a list of messages", where)
    if all(isinstance(entry, list) for entry in value):
        for index, conversation in enumerate(value):
            yield f"{where}[{index}]", _single(conversation, f"{where}[{index}]")
    else:
        yield where, _single(value, where)


def _is_conversation(entry: Any) -> bool:
    return isinstance(entry, list) and bool(entry) and isinstance(entry[0], dict) and "content" in entry[0]


def _single(messages: list[Any], where: str) -> Source:
    """The one picture of a conversation."""
    pictures = [source for index, message in enumerate(messages) for source in _content(message, f"{where}[{index}]")]
    if len(pictures) != 1:
        raise BadRequest(f"{where} has {len(pictures)} pictures; a conversation with exactly 1 gives one vector", where)
    return pictures[0]


def _content(holder: Any, where: str) -> Iterator[Source]:
    """The pictures among the parts of a message's `content`; its text parts are read over."""
    content = holder.get("content") if isinstance(holder, dict) else None
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise BadRequest(f"{where} has no list 'content'", where)
    for index, part in enumerate(content):
        if not (isinstance(part, dict) and part.get("type") == "text"):
            yield _part(part, f"{where}.content[{index}]")


def picture_of(entry: Any, where: str) -> Source:
    """One picture, however it is wrapped."""
    if isinstance(entry, dict) and "content" in entry:
        return _single([entry], where)
    return _part(entry, where)


def _part(entry: Any, where: str) -> Source:
    """A string, or an object with one under a known name (`image_url` holds a string, or an object with a `url`)."""
    if isinstance(entry, str):
        return _decoded(entry, where)
    if not isinstance(entry, dict):
        raise BadRequest(f"{where} is {type(entry).__name__}, not a picture; give {ALLOWED}", where)
    for key in ("image_url", "image_base64", "image", "url", "bytes"):
        value = entry.get(key)
        text = value.get("url") if isinstance(value, dict) else value
        if isinstance(text, str):
            return _decoded(text, where)
    raise BadRequest(f"{where} has the keys {sorted(map(str, entry))[:8]} and no picture; give {ALLOWED}", where)


def _decoded(text: str, where: str) -> Source:
    if text[:8].lower().startswith(("http://", "https://")):
        return Remote(text)
    kind, comma, payload = text.partition(",") if text[:5].lower() == "data:" else ("", "", text)
    if text[:5].lower() == "data:" and not comma:
        raise BadRequest(f"{where} is a data URI without a comma; give 'data:image/jpeg;base64,…'", where)
    if comma and not kind.lower().endswith(";base64"):
        return urllib.parse.unquote_to_bytes(payload)
    try:
        data = base64.b64decode(payload.translate(_WHITESPACE), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{where} is {text[:40]!r}…, not base64; give {ALLOWED}", where) from None
    if not data:
        raise BadRequest(f"{where} is empty; give {ALLOWED}", where)
    return data


_WHITESPACE = {ord(mark): None for mark in " \r\n\t"}
