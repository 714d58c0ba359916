"""The text of a table, whatever wrote it: UTF-8, UTF-16, or Windows' cp1252, with commas, semicolons or tabs."""

from __future__ import annotations

import codecs
import csv
import logging
from collections.abc import Iterator

from common.records.record import RecordsError

log = logging.getLogger(__name__)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DELIMITERS = ",;\t"


def decode_table(content: bytes, name: str) -> str:
    """The text of a table file.

    Raises:
        RecordsError: neither UTF-8, UTF-16 nor cp1252; the message has file, line and encoding.
    """
    if content.startswith(_UTF16):
        return _decoded(content, "utf-16", name)
    if b"\0" in content[:64]:
        return _decoded(content, "utf-16-le" if content[1:2] == b"\0" else "utf-16-be", name)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        text = _decoded(content, "cp1252", name, f"line {line} is not UTF-8, and ")
        log.warning("%s: line %d is not UTF-8; the table is read as cp1252 (Windows, Western European)", name, line)
        return text


def _decoded(content: bytes, encoding: str, name: str, before: str = "") -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = f"0x{content[error.start]:02x}"
        raise RecordsError(
            f"{name}: {before}line {line} is not {encoding} (byte {byte}); save the table as UTF-8"
        ) from None


def table_rows(text: str, name: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The header of a table, and its rows with their line numbers; empty lines are passed over.

    The delimiter is what the header has most of: comma, semicolon or tab.
    """
    first = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)

    def rows() -> Iterator[tuple[int, list[str]]]:
        try:
            for row in reader:
                if row:
                    yield reader.line_num, row
        except csv.Error as error:
            raise RecordsError(f"{name}: line {reader.line_num}: {error}") from None

    lines = rows()
    _, header = next(lines, (0, []))
    return [column.strip() for column in header], lines
