"""An evaluation as one HTML file that needs nothing beside it: tables, and the plots inside it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2526; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #0b6e4f; }
tbody tr:nth-child(even) { background: #f1f5f3; } img { max-width: 100%; height: auto; } small { color: #5a6466; }
@media (max-width: 40rem) { table { display: block; overflow-x: auto; } }
"""
_IDENTITY = {
    "rank1": "rank-1",
    "rank5": "rank-5",
    "eer": "EER",
    "auc": "AUC",
    "tar_at_1e2": "TAR at FAR 1e-2",
    "tar_at_1e3": "TAR at FAR 1e-3",
}
_PROTOCOLS = {
    "leave_one_out": (
        "Closed-set identification, leave one out: each picture is searched for among all others.",
        {"rank1": "rank-1", "rank5": "rank-5", "queries": "queries", "identities": "people"},
    ),
    "verification": (
        "Verification, all against all: each pair of pictures once.",
        {
            "eer": "EER",
            "auc": "AUC",
            "tar_at_1e2": "TAR at FAR 1e-2",
            "tar_at_1e3": "TAR at FAR 1e-3",
            "genuine_pairs": "genuine pairs",
            "impostor_pairs": "impostor pairs",
        },
    ),
}
_PROVENANCE = ("data", "data_sha256", "split", "train_pictures", "train_subjects", "epoch", "seed", "git_commit")
MOST_REFUSED = 100
_PLOTS = {
    "reconstructions": "Pictures (above) and what their latents give back (below).",
    "cmc": "How often the right person is among the first k.",
    "roc": "True accepts against false accepts.",
    "similarities": "Similarity of pairs of pictures of one person, and of two.",
    "slices": "Rank-1 of parts of the pictures.",
}


def write_report(results: Mapping[str, Any], plots: Sequence[Path], path: Path) -> None:
    """Write the report of `study(...).results` with these plots inside."""
    model, data = results["model"], results["data"]
    body = [f"<p><b>{escape(data['trained_on'])}</b></p>"]
    body += [f"<h1>{escape(str(model['name']))} on {escape(str(data['name']))}</h1>", _facts(model, data)]
    sections = {
        "Reconstruction": _reconstruction(results),
        "Finding people": _people(results),
        "By the protocols of published tables": _protocols(results.get("protocols", {})),
        "Where it is good and where not": _slices(results.get("identity", {})),
        "Thresholds": _thresholds(results.get("identity", {}).get("calibration")),
    }
    body += [_section(title, content) for title, content in sections.items() if content]
    body += [_picture(plot) for plot in plots]
    body += [_section("Pictures that could not be used", _list(data["refused_pictures"]))] if data["refused"] else []
    body.append(_section("How this was made", _made(results)))
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><style>{STYLE}</style>"
    path.write_text(
        f"<!doctype html><html lang='en'><head>{head}<title>Evaluation of {escape(str(model['name']))}</title></head>"
        f"<body>{''.join(body)}</body></html>",
        encoding="utf-8",
    )


def _facts(model: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    left_out = f", {data['left_out']} pictures of people trained on left out" if data["left_out"] else ""
    refused = f", {data['refused']} could not be used" if data["refused"] else ""
    return (
        f"<p>Preset {escape(str(model['preset']))}, {escape(str(model['kind']))}. {data['pictures']} pictures of "
        f"{data['subjects']} people (split: {escape(data['split'])}{left_out}{refused}); "
        f"{escape(data['protocol'])}.</p>"
    )


def _made(results: Mapping[str, Any]) -> str:
    run, provenance = results.get("run", {}), results["model"].get("provenance", {})
    rows = [(name, str(run[name])) for name in ("date", "command", "version", "commit") if name in run]
    rows += [
        (f"model: {name.replace('_', ' ')}", str(provenance[name]))
        for name in _PROVENANCE
        if provenance.get(name) is not None
    ]
    return table(("", ""), [*rows, ("pictures: sha256", results["data"]["sha256"])])


def _list(lines: Sequence[str]) -> str:
    shown = "".join(f"<li>{escape(line)}</li>" for line in lines[:MOST_REFUSED])
    more = f"<p>… and {len(lines) - MOST_REFUSED} more, in results.json.</p>" if len(lines) > MOST_REFUSED else ""
    return f"<ul>{shown}</ul>{more}"


def _thresholds(calibration: Mapping[str, Any] | None) -> str:
    if calibration is None:
        return ""
    rows = [
        (f"{point['far']:g}", f"{point['threshold']:.4f}", f"{point['tar']:.3f}") for point in calibration["points"]
    ]
    return table(("false-accept rate", "least similarity", "true-accept rate"), rows)


def _protocols(protocols: Mapping[str, Any]) -> str:
    parts = []
    for protocol, (caption, columns) in _PROTOCOLS.items():
        if rows := protocols.get(protocol):
            cells = [(name, *(_cell(row[key]) for key in columns)) for name, row in rows.items()]
            parts.append(f"<p>{caption}</p>" + table(("", *columns.values()), cells))
    return "".join(parts)


def _cell(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>{content}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """An HTML table, "" without rows; texts are escaped."""
    rows = list(rows)
    if not rows:
        return ""
    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def _reconstruction(results: Mapping[str, Any]) -> str:
    rows = [("model", results["reconstruction"])]
    rows += [(name, row) for name, row in results.get("baselines", {}).items() if "psnr_db" in row]
    quality = table(
        ("", "PSNR (dB)", "SSIM"),
        [(name, _with_interval(row, "psnr_db", 2), _with_interval(row, "ssim", 3)) for name, row in rows],
    )
    terms = results["reconstruction"]["terms"]
    return quality + table(("term", "mean"), [(name, f"{value:.4f}") for name, value in terms.items()])


def _people(results: Mapping[str, Any]) -> str:
    identity = results.get("identity", {})
    named = {"embedding": "subject", "embedding, each ear its own identity": "ear", "cosine of mu": "cosine_of_mu"}
    rows = [(name, identity[key]) for name, key in named.items() if key in identity]
    rows += [(f"side {name}", row) for name, row in identity.get("side", {}).items()]
    rows += [(name, row) for name, row in results.get("baselines", {}).items() if "rank1" in row]
    figures = table(
        ("", *_IDENTITY.values()), [(name, *(_with_interval(row, key, 3) for key in _IDENTITY)) for name, row in rows]
    )
    strangers = identity.get("open_set")
    if strangers is None:
        return figures
    rates = ", ".join(f"{v:.3f} at FPIR {k.rsplit('_', 1)[1]}" for k, v in strangers.items() if k.startswith("dir_"))
    return figures + (
        f"<p>With {strangers['enrolled']} people enrolled and {strangers['strangers']} strangers among the queries, "
        f"the right person is found and accepted at a rate of {rates}.</p>"
    )


def _slices(identity: Mapping[str, Any]) -> str:
    rows = identity.get("slices", [])
    keys = ("rank1", "rank5", "eer")
    return table(
        ("part", "queries", *(_IDENTITY[key] for key in keys)),
        [
            (f"{row['attribute']} {row['value']}", str(row["queries"]), *(f"{row[key]:.3f}" for key in keys))
            for row in rows
        ],
    )


def _with_interval(row: Mapping[str, Any], key: str, digits: int) -> str:
    text = f"{row[key]:.{digits}f}"
    interval = row.get("intervals", {}).get(key)
    return text if interval is None else f"{text} ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def _picture(plot: Path) -> str:
    data = base64.b64encode(plot.read_bytes()).decode()
    text = escape(_PLOTS.get(plot.stem, plot.stem))
    caption = f"<figcaption><small>{text}</small></figcaption>"
    return f"<figure><img alt='{text}' src='data:image/png;base64,{data}'>{caption}</figure>"
