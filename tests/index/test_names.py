"""One rule for names at every entry: composed, stripped, no control characters, and nothing else is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from index.errors import BadItem
from index.gallery import Gallery
from index.items import Filter, NewItem, source_of
from tests.index.ears import embedding, new_item

DECOMPOSED, COMPOSED = "Zoe\u0308", "Zo\u00eb"
ALLOWED = (
    "\u5c71\u7530\u3000\u592a\u90ce",  # an ideographic space between the names
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # a zero-width non-joiner
    "\u0915\u094d\u200d\u0937",  # a zero-width joiner
    "Jean\u00a0Luc",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family of emoji
    ".",
    "..",
    "../../etc/passwd",
)


@pytest.mark.parametrize("name", ALLOWED, ids=ascii)
def test_names_of_the_world_are_enrolled_found_patched_and_erased(gallery: Gallery, name: str):
    (item,) = gallery.enrol([new_item(1, name, tags=(name,))])
    assert (item.subject, item.tags) == (name, (name,))
    assert gallery.search(embedding(1, 1), filter=Filter(subjects=(name,), tags=(name,)))[0][0].item == item
    assert gallery.patch(item.id, subject=name, tags=(name,), source=name).source == name
    assert gallery.delete_subject(name) == 1


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\x1b[31m", "a\x7f", "a\x85b", "\ud800"], ids=ascii)
def test_control_characters_are_refused_everywhere(gallery: Gallery, name: str):
    (item,) = gallery.enrol([new_item(1)])
    for wrong in ({"subject": name}, {"tags": (name,)}, {"source": name}):
        with pytest.raises(BadItem, match="control character"):
            replace(new_item(2), **wrong)
        with pytest.raises(BadItem, match="control character"):
            gallery.patch(item.id, **wrong)


def test_two_spellings_are_one_subject(gallery: Gallery):
    assert DECOMPOSED != COMPOSED
    first, second = gallery.enrol([new_item(1, DECOMPOSED, tags=(DECOMPOSED, COMPOSED)), new_item(2, f" {COMPOSED} ")])
    assert first.subject == second.subject == COMPOSED
    assert first.tags == (COMPOSED,)
    assert gallery.patch(second.id, subject=f"\t{DECOMPOSED}\n").subject == COMPOSED
    for spelling in (DECOMPOSED, COMPOSED, f" {DECOMPOSED}"):
        assert gallery.count(Filter(subjects=(spelling,))) == 2
        assert gallery.count(Filter(tags=(spelling,))) == 1
        assert gallery.count(Filter(exclude_subjects=(spelling,))) == 0
        assert len(gallery.search(embedding(1, 1), filter=Filter(subjects=(spelling,)))[0]) == 2
    assert gallery.delete_subject(DECOMPOSED) == 2


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("Bildschirmfoto 2026-11-28 um 9.00.00\u202fAM.png", "Bildschirmfoto 2026-11-28 um 9.00.00\u202fAM.png"),
        ("e\u0301.png", "\u00e9.png"),
        ("line\nbreak\udcff.png", "line\ufffdbreak\ufffd.png"),
        ("x" * 5000, "x" * 2048),
        ("  ", None),
    ],
    ids=ascii,
)
def test_a_file_name_never_fails_its_picture(file: str, source: str | None):
    assert source_of(file) == source
    assert NewItem(b"x", embedding(1, 1), embedding(1, 1), source=source_of(file)).source == source
