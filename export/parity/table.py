"""The parity table, for terminals and for Markdown. Knows the rows' names, not what is good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]

_HOW = {"precision": "precision", "runtime": "runtime", "batch": "batch", "crops": "inputs"}
_FIGURES = {
    "cosine_min": ("cosine min", "{:.6f}"),
    "cosine_p1": ("cosine p1", "{:.6f}"),
    "cosine_mean": ("cosine mean", "{:.6f}"),
    "relative_error": ("error / distance", "{:.3%}"),
    "spread_error": ("spread error", "{:.3%}"),
    "neighbour_overlap": ("same neighbours", "{:.3f}"),
    "rank1_change": ("rank-1 change", "{:+.4f}"),
    "eer_change": ("EER change", "{:+.4f}"),
    "psnr_min_db": ("PSNR min (dB)", "{:.1f}"),
}


def columns(rows: Sequence[Row]) -> dict[str, str]:
    """Key -> title of the columns that say something for these rows."""
    measured = {name: title for name, (title, _) in _FIGURES.items() if any(row.get(name) is not None for row in rows)}
    return _HOW | measured | {"refusals": "verdict"}


def cells(row: Row, keys: Iterable[str]) -> list[str]:
    """The texts of one row (`ParityRow.to_dict()`) in the order of `keys`; what was not measured is empty."""
    return [_text(row, key) for key in keys]


def markdown(rows: Sequence[Row]) -> str:
    """One table for each graph."""
    parts = []
    for graph, own in _by_graph(rows).items():
        titles = columns(own)
        lines = [f"**{graph}**", "", _line(titles.values()), "|" + "---|" * len(titles)]
        parts.append("\n".join([*lines, *(_line(cells(row, titles)) for row in own)]))
    return "\n\n".join(parts)


def rich_tables(rows: Sequence[Row]) -> list[Table]:
    """One table for each graph, for a terminal: refused rows in red."""
    from rich.table import Table

    tables = []
    for graph, own in _by_graph(rows).items():
        titles = columns(own)
        table = Table(title=f"{graph}: agreement with torch (float32)", title_justify="left")
        for key, title in titles.items():
            widest = max(len(text) for row in own for text in cells(row, [key])) if key in _HOW else None
            left = key in ("precision", "runtime", "refusals")
            table.add_column(title, justify="left" if left else "right", min_width=widest)
        for row in own:
            table.add_row(*cells(row, titles), style=None if row["passed"] else "red")
        tables.append(table)
    return tables


def _by_graph(rows: Sequence[Row]) -> dict[str, list[Row]]:
    graphs: dict[str, list[Row]] = {}
    for row in rows:
        graphs.setdefault(row["graph"], []).append(row)
    return graphs


def _text(row: Row, key: str) -> str:
    if key == "refusals":
        return "; ".join(row[key]) or "passed"
    if key in _FIGURES:
        return "" if row.get(key) is None else _FIGURES[key][1].format(row[key])
    return str(row[key])


def _line(texts: Iterable[str]) -> str:
    return "| " + " | ".join(texts) + " |"
