"""`MODEL_CARD.md` and `DATASHEET.md`, generated from a bundle's manifest so that they cannot say anything else.

The card follows Mitchell et al. 2019, "Model Cards for Model Reporting", the sheet Gebru et al. 2021, "Datasheets for
Datasets", as far as a machine can know the answers; the rest is left as questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.manifest import FileEntry, Manifest
from common.durable_files import write_atomically
from export.parity.table import markdown
from measure.calibration import NOT_RECORDED

CARD_NAME, SHEET_NAME = "MODEL_CARD.md", "DATASHEET.md"

INTENDED_USE = """\
Finding pictures of the same ear, reconstructing an ear from its latent, and as a teacher for ear detection and landmark
models. Ears are biometric data: ask the people concerned, keep to the law, and let them be deleted.

Not for: deciding about people without a human; live surveillance; pictures that are not ears (every picture gets an
embedding, also a picture of a cat). A similarity is evidence with an error rate, not an identity.
"""

LIMITS = """\
Figures hold for pictures like those they were measured on: another camera, pose, light or population will do worse, and
by how much is not known until it is measured. A checkpoint trained on rendered ears has never seen a real one.
"""


OTHER_PICTURES = """\
Its rates do not hold on other pictures, so the service gives no verdict by it: calibrate a gallery of your own labelled
ears (`ear-teacher calibrate`, `POST /v1/calibrations`).
"""

LAW = """\
Where a person is to be recognised, ears are biometric data. Among what may apply: the GDPR's articles 9 (explicit
consent or another ground), 17 (deletion) and 35 (impact assessment), the EU's AI Act (2024/1689, biometric
identification), and in the USA laws such as Illinois' BIPA (740 ILCS 14: written consent, a public retention schedule).
Deleting a subject from a gallery removes its rows, crops and vectors; a model trained on the pictures keeps what it
learned. This is a pointer, not legal advice.
"""


def write_papers(folder: Path, manifest: Manifest) -> Manifest:
    """Write card and data sheet of a bundle whose manifest is complete but for them; returns it with both."""
    for name, text in ((CARD_NAME, model_card(manifest)), (SHEET_NAME, data_sheet(manifest))):
        write_atomically(folder / name, text.encode())
    papers = {name: FileEntry.of(folder / name) for name in (CARD_NAME, SHEET_NAME)}
    return manifest.model_copy(update={"files": {**manifest.files, **papers}})


def model_card(manifest: Manifest) -> str:
    """The card as Markdown."""
    training = manifest.training
    sections = {
        "What it is": _facts(manifest),
        "Trained on": _listed(_training(manifest), "The checkpoint says nothing of its training."),
        "On photographs (evaluation only, nothing was trained on them)": _photographs(training.get("photographs", [])),
        "Validation figures": _figures(training),
        "Calibration": _calibration(manifest),
        "Who is found how well": _slices(training.get("slices", []), training.get("judged_on", {})),
        "Agreement of the exported files with torch": _parity(manifest),
        "Intended use": INTENDED_USE,
        "Limits": LIMITS,
        "Law": LAW,
    }
    body = "\n".join(f"## {title}\n\n{text.rstrip()}\n" for title, text in sections.items())
    return f"# Ear encoder and decoder, preset `{manifest.preset}`\n\n{body}"


def _photographs(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "Not measured: `python -m bench.real_ears` measures a bundle on AMI and EarVN1.0."
    lines = [
        f"| {row['set']} | {row['people']} | {row['queries']} | {row['rank1']:.3f} | {row['eer']:.3f} |" for row in rows
    ]
    return "\n".join(["| set | people | queries | rank-1 | EER |", "|---|---|---|---|---|", *lines])


def _figures(training: Mapping[str, Any]) -> str:
    """Figures, and whose they are."""
    listed = _listed(training.get("metrics", {}), "The checkpoint carries no figures.")
    return "\n\n".join(filter(None, (training.get("validated_on"), listed)))


def _calibration(manifest: Manifest) -> str:
    """Which pictures and people it was made on, and that it does not hold on others."""
    calibration, made_on = manifest.calibration, manifest.training.get("calibrated_on")
    if calibration is None:
        return "Calibration: none."
    lines = {
        "calibrated on": calibration.get("calibrated_on", NOT_RECORDED),
        "pairs of one ear": calibration["genuine_pairs"],
        "pairs of different ears": calibration["impostor_pairs"],
    }
    whose = (
        "Calibration: on {pictures} pictures of {subjects} people. {trained_on}".format(**made_on) if made_on else ""
    )
    return "\n\n".join(filter(None, (whose, _listed(lines, ""), OTHER_PICTURES)))


def _training(manifest: Manifest) -> dict[str, Any]:
    """All but what the data sheet says."""
    return {name: value for name, value in manifest.training.get("provenance", {}).items() if name != "data_facts"}


def _slices(rows: Sequence[Mapping[str, Any]], judged_on: Mapping[str, Any]) -> str:
    if not rows:
        return "Not measured: `ear-teacher evaluate` on the checkpoint, before the export, adds it."
    lines = [
        f"| {row['attribute']} | {row['value']} | {row['subjects']} | {row['queries']} | {row['rank1']:.3f} "
        f"| {row['eer']:.3f} |"
        for row in rows
    ]
    head = ["| attribute | value | subjects | queries | rank-1 | EER |", "|---|---|---|---|---|---|"]
    counted = f"{judged_on.get('pictures', '?')} pictures of {judged_on.get('subjects', '?')} subjects"
    exposed = judged_on.get("trained_on", "Whether they were trained on was not recorded.")
    return "\n".join([f"{exposed} On {counted}; {judged_on.get('protocol', '')}.", "", *head, *lines])


def _facts(manifest: Manifest) -> str:
    facts = {
        "embedding space": f"`{manifest.space_id}`",
        "exported": manifest.created,
        "input": f"{manifest.framing.size_px} x {manifest.framing.size_px} px RGB crop, left orientation, box + "
        f"{manifest.framing.margin:.0%}",
        "SAM input": f"{manifest.sam_size_px} px",
        "latent": f"{manifest.latent_dim} numbers (`mu`), embedding of the same length and unit norm",
        "files": ", ".join(f"`{variant.file}` ({variant.precision})" for variant in manifest.variants),
    }
    return _listed(facts, "")


def _listed(values: Mapping[str, Any], otherwise: str) -> str:
    lines = [f"- {name.replace('_', ' ')}: {_text(value)}" for name, value in values.items()]
    return "\n".join(lines) or otherwise


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(value)


def _parity(manifest: Manifest) -> str:
    parity = manifest.parity
    refused = ", ".join(parity["refused"]) or "none"
    return f"{markdown(parity['rows'])}\n\nCompared on {parity['crops']} crops. Refused by the gate: {refused}."


TO_ANSWER = """\
- Who took the pictures, where and when, and were the people asked?
- What may the pictures, and models made from them, be used for, and until when?
- How can a person have their pictures, and what was made of them, deleted?
- Who is missing: ages, skins, hair, jewellery, hearing aids, cameras?
"""

UNKNOWN = "The checkpoint says nothing of its data: it was made before data sheets were kept, or elsewhere.\n"


def data_sheet(manifest: Manifest) -> str:
    """The sheet as Markdown."""
    provenance = manifest.training.get("provenance", {})
    facts: Mapping[str, Any] = provenance.get("data_facts", {})
    parts = {"Training pictures": facts.get("train"), "Validation pictures": facts.get("val")}
    sections = {title: _described(values) if values else UNKNOWN for title, values in parts.items()}
    sections["How they were told apart"] = f"{provenance.get('split', 'not recorded')}\n"
    sections["Fingerprint"] = f"sha256 `{provenance.get('data_sha256', 'not recorded')}`\n"
    sections["Not known to the exporter: answer before you pass this on"] = TO_ANSWER
    body = "\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"# Data of bundle `{manifest.space_id}`\n\n{body}"


def _described(facts: Mapping[str, Any]) -> str:
    pictures = facts["pictures"]
    lines = [f"- pictures: {pictures}", f"- subjects known: {facts['subjects']}"]
    if each := facts.get("pictures_per_subject"):
        lines.append(f"- pictures of a subject: {each['least']} to {each['most']}, median {each['median']:g}")
    lines.append(f"- with a box: {_share(facts['with_box'], pictures)}")
    lines.append(f"- with landmarks: {_share(facts['with_landmarks'], pictures)}")
    tables = {"side": facts["sides"], **facts["groups"]}
    rows = [
        f"| {name} | {value} | {_share(count, pictures)} |"
        for name, values in tables.items()
        for value, count in values.items()
    ]
    return "\n".join([*lines, "", "| group | value | pictures |", "|---|---|---|", *rows]) + "\n"


def _share(count: int, pictures: int) -> str:
    return f"{count} ({count / pictures:.0%})"
