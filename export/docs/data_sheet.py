"""`DATASHEET.md`: the pictures a bundle was trained and judged on, as far as its checkpoint knows them.

Follows Gebru et al. 2021, "Datasheets for Datasets". What a machine cannot know is asked of whoever passes it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundle.manifest import Manifest

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
