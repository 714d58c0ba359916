"""Items under ids of the caller's: `Gallery.put`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from index.errors import BadItem
from index.gallery import Gallery
from tests.index.ears import new_item


def test_an_item_is_put_under_its_own_id_and_replaces_what_was_there(gallery: Gallery):
    first, added = gallery.put(replace(new_item(3), id="a:1"))
    assert (first.id, added) == ("a:1", True)
    others = gallery.enrol([new_item(n) for n in (4, 5)])
    second, added = gallery.put(replace(new_item(9, tags=("new",)), id="a:1"))
    assert (second.id, added, second.created, second.tags) == ("a:1", False, first.created, ("new",))
    assert gallery.count() == 3
    assert gallery.crop("a:1") == new_item(9).crop
    hits = gallery.search(new_item(9).embedding, 5)[0]
    assert hits[0].item == second
    assert {hit.item.id for hit in hits} == {"a:1", *(item.id for item in others)}
    assert all(hit.similarity < 0.999 for hit in gallery.search(new_item(3).embedding, 5)[0])
    with pytest.raises(BadItem, match="id is"):
        replace(new_item(1), id="../x")
