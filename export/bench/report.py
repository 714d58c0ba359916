"""A bench's figures for people: tables for the terminal, Markdown for docs, a PNG or a self-contained HTML page.

Takes the report as it stands in the JSON file, so that an old file can be shown too.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.bench.jobs import PARTS, STAGES

if TYPE_CHECKING:
    from rich.table import Table

Report = Mapping[str, Any]

COLUMNS = (
    "runtime",
    "precision",
    "batch",
    "p50 ms",
    "p90",
    "p95",
    "p99",
    "images/s",
    "of limit",
    "end to end p50",
    "p99",
    "images/s",
    "memory MiB",
    "cold s",
    "warm s",
    "steady",
)
STAGE_COLUMNS = ("runtime", "precision", "batch", *STAGES, "copy in", "GPU computes", "copy out")


def lines(report: Report) -> Iterator[list[str]]:
    """The texts of each row, in the order of `COLUMNS`."""
    for result in report["results"]:
        for row in result["rows"]:
            device, whole = row["device"], row["end_to_end"]
            share = row["share_of_limit"]
            yield [
                *(str(row[name]) for name in ("runtime", "precision", "batch")),
                *(_ms(device[name]) for name in ("p50_ms", "p90_ms", "p95_ms", "p99_ms")),
                f"{row['device_images_per_s']:.1f}",
                "" if share is None else f"{share:.0%}",
                _ms(whole["p50_ms"]),
                _ms(whole["p99_ms"]),
                f"{row['end_to_end_images_per_s']:.1f}",
                _memory(result),
                f"{result['cold_start_s']:.2f}",
                f"{result['warm_start_s']:.2f}",
                "yes" if device["stable"] and whole["stable"] else "no",
            ]


def stage_lines(report: Report) -> Iterator[list[str]]:
    """The texts of each row, in the order of `STAGE_COLUMNS`; what a runtime does not tell is empty."""
    for result in report["results"]:
        for row in result["rows"]:
            parts = row["device_parts_ms"] or {}
            yield [
                *(str(row[name]) for name in ("runtime", "precision", "batch")),
                *(_ms(row["stages_ms"][name]) for name in STAGES),
                *(_ms(parts[name]) if name in parts else "" for name in PARTS),
            ]


def tables(report: Report) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """(title, columns, rows) of what there is to see."""
    return [
        ("encoder alone, and end to end (from picture file to JSON)", COLUMNS, list(lines(report))),
        ("where the time of a request goes, mean ms", STAGE_COLUMNS, list(stage_lines(report))),
    ]


def rich_tables(report: Report) -> list[Table]:
    """For a terminal."""
    from rich.table import Table

    shown = []
    for title, columns, rows in tables(report):
        table = Table(title=title, title_justify="left")
        for name in columns:
            table.add_column(name, justify="left" if name in ("runtime", "precision") else "right")
        for texts in rows:
            table.add_row(*texts)
        shown.append(table)
    return shown


def markdown(report: Report) -> str:
    """For docs: what was measured on, the tables, the notes."""
    parts = [setting(report)]
    for title, columns, rows in tables(report):
        texts = ["| " + " | ".join(cells) + " |" for cells in (columns, *rows)]
        parts.append("\n".join([f"**{title}**", "", texts[0], "|" + "---|" * len(columns), *texts[1:]]))
    if report["notes"]:
        parts.append("\n".join(f"- {note}" for note in report["notes"]))
    return "\n\n".join(parts) + "\n"


def setting(report: Report) -> str:
    """One line: machine, versions, commit, bundle."""
    hardware, versions = report["hardware"], report["versions"]
    machine = ", ".join(filter(None, (hardware["cpu"], f"{hardware['cores']} cores", hardware["gpu"])))
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{machine}; {software}; commit {report['commit']}; bundle {report['bundle_id']} ({report['preset']})"


def write_plot(report: Report, path: Path) -> None:
    """Write `path`: a picture for .png, else a page for browsers that needs no other file."""
    if path.suffix == ".png":
        path.write_bytes(_png(report))
    else:
        path.write_text(_page(report), encoding="utf-8")


def _png(report: Report) -> bytes:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for result in report["results"] for row in result["rows"]]
    names = [f"{row['runtime']} {row['precision']}\nbatch {row['batch']}" for row in rows]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(6 + 0.9 * len(rows), 4.5), layout="constrained")
    places = range(len(rows))
    for offset, (key, label) in enumerate((("device", "device"), ("end_to_end", "end to end"))):
        at = [place + 0.4 * (offset - 0.5) for place in places]
        left.bar(at, [row[key]["p50_ms"] for row in rows], 0.38, label=f"{label}, p50")
        left.plot(at, [row[key]["p99_ms"] for row in rows], "_", color="black", markersize=12)
        right.bar(at, [row[f"{key}_images_per_s"] for row in rows], 0.38, label=label)
    left.set_ylabel("latency of a batch, ms (dash: p99)")
    right.set_ylabel("images/s")
    for axes in (left, right):
        axes.set_xticks(list(places), names, rotation=30, ha="right", fontsize=8)
        axes.legend(loc="upper left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    pyplot.close(figure)
    return buffer.getvalue()


def _page(report: Report) -> str:
    picture = base64.b64encode(_png(report)).decode()
    body = "".join(_html_table(*table) for table in tables(report))
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in report["notes"])
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>ear-teacher bench</title>"
        "<style>body{font:15px system-ui;margin:2rem}td,th{padding:.3rem .6rem;text-align:right}"
        "table{border-collapse:collapse}tr:nth-child(even){background:#8881}img{max-width:100%}</style>"
        f"<h1>ear-teacher bench</h1><p>{html.escape(setting(report))}</p>{body}<ul>{notes}</ul>"
        f'<img alt="latency and throughput of each case" src="data:image/png;base64,{picture}">'
    )


def _html_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in texts) + "</tr>" for texts in rows)
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _memory(result: Mapping[str, Any]) -> str:
    on_gpu = result["gpu_memory_mib"]
    return f"{result['memory_mib']}" + (f" + {on_gpu} GPU" if on_gpu else "")
