"""`MODEL_CARD.md`: what a bundle is, generated from its manifest so that it cannot say anything else.

Follows Mitchell et al. 2019, "Model Cards for Model Reporting", as far as a machine can know the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.manifest import Manifest, write_atomically
from export.table import markdown

CARD_NAME = "MODEL_CARD.md"

INTENDED_USE = """\
Finding pictures of the same ear, reconstructing an ear from its latent, and as a teacher for ear detection and landmark
models. Ears are biometric data: ask the people concerned, keep to the law, and let them be deleted.

Not for: deciding about people without a human; live surveillance; pictures that are not ears (every picture gets an
embedding, also a picture of a cat). A similarity is evidence with an error rate, not an identity.
"""

LIMITS = """\
Figures hold for pictures like those it was validated on: another camera, pose, light or population will do worse, and
by how much is not known until it is measured. A checkpoint trained on rendered ears has never seen a real one.
"""


def write_model_card(folder: Path, manifest: Manifest) -> Path:
    """Write the card of a bundle whose manifest is complete but for the card itself."""
    path = folder / CARD_NAME
    write_atomically(path, model_card(manifest).encode())
    return path


def model_card(manifest: Manifest) -> str:
    """The card as Markdown."""
    training = manifest.training
    sections = {
        "What it is": _facts(manifest),
        "Trained on": _listed(training.get("provenance", {}), "The checkpoint says nothing of its training."),
        "Validation figures": _listed(training.get("metrics", {}), "The checkpoint carries no figures."),
        "Agreement of the exported files with torch": _parity(manifest),
        "Intended use": INTENDED_USE,
        "Limits": LIMITS,
    }
    body = "\n".join(f"## {title}\n\n{text.rstrip()}\n" for title, text in sections.items())
    return f"# Ear encoder and decoder, preset `{manifest.preset}`\n\n{body}"


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
