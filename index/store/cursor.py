"""Where a page of a list ended, as an opaque text that a caller hands back."""

from __future__ import annotations

import base64
import binascii

from index.errors import BadFilter


def encode(key: int) -> str:
    """The cursor of everything after `key`."""
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode().rstrip("=")


def decode(cursor: str | None) -> int:
    """The key that a cursor stands behind; 0 for no cursor. Raises BadFilter."""
    if cursor is None:
        return 0
    try:
        word, _, key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        if word != "after":
            raise ValueError(word)
        return int(key)
    except (ValueError, binascii.Error):
        raise BadFilter(f"cursor is {cursor!r:.80}: give `next_cursor` of the page before, or none") from None
