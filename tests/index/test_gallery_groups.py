"""Groups by subject, enrolment once, vectors read and replaced, and folders of any name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index.errors import DuplicateItem
from index.gallery import Gallery
from index.items import Vectors
from index.opening import open_gallery
from tests.index.ears import DIM, SPACE, embedding, new_item


def test_grouped_search_gives_each_subject_once_with_its_best_items(gallery: Gallery):
    gallery.enrol([new_item(n) for n in range(100)])
    (subjects,) = gallery.search_subjects(embedding(4, 999), k=5, per_subject=3)
    assert [len(found.hits) for found in subjects] == [3] * 5
    assert len({found.subject for found in subjects}) == 5
    assert subjects[0].subject == "s4"
    assert [found.similarity for found in subjects] == sorted((f.similarity for f in subjects), reverse=True)
    flat = gallery.search(embedding(4, 999), 3)[0]
    assert subjects[0].hits == tuple(flat)


def test_grouped_search_reaches_past_one_crowded_subject(gallery: Gallery):
    gallery.enrol([new_item(10 * n) for n in range(300)] + [new_item(1), new_item(2)])
    (subjects,) = gallery.search_subjects(embedding(0, 999), k=3)
    assert {found.subject for found in subjects} == {"s0", "s1", "s2"}


def test_items_without_subject_stand_for_themselves(gallery: Gallery):
    gallery.enrol([new_item(n, subject=None) for n in range(4)])
    (subjects,) = gallery.search_subjects(embedding(0, 0), k=10)
    assert [found.subject for found in subjects] == [None] * 4


def test_a_picture_is_enrolled_once_where_that_is_asked(gallery: Gallery):
    (first,) = gallery.enrol([new_item(1)])
    again, new, twin = gallery.enrol_once([new_item(1), new_item(2), new_item(2)])
    assert (again.item, again.added) == (first, False)
    assert (new.added, twin.added) == (True, False)
    assert twin.item == new.item
    assert gallery.count() == 2
    assert gallery.search(embedding(2, 2))[0][0].item == new.item
    with pytest.raises(DuplicateItem, match=first.id) as caught:
        gallery.enrol_once([new_item(3), new_item(1)], on_duplicate="reject")
    assert caught.value.item_id == first.id
    with pytest.raises(DuplicateItem, match=r"items\[1\] is the same picture as items\[0\]"):
        gallery.enrol_once([new_item(3), new_item(3)], on_duplicate="reject")
    assert gallery.count() == 2
    assert len(gallery.enrol([new_item(1), new_item(1)])) == 2
    assert gallery.count() == 4
    assert [one.added for one in gallery.enrol_once([new_item(1)])] == [False]


def test_vectors_are_read_together_and_replaced(gallery: Gallery):
    items = gallery.enrol([new_item(n) for n in range(5)])
    read = gallery.vectors_of([*(item.id for item in items), "ear_unknown"])
    assert set(read) == {item.id for item in items}
    for n, item in enumerate(items):
        np.testing.assert_array_equal(read[item.id].mu, new_item(n).mu)
    assert gallery.vectors_of([]) == {}
    gallery.patch(items[0].id, vectors={SPACE: Vectors(np.zeros(DIM, np.float32), embedding(7, 70))})
    assert gallery.search(embedding(7, 70))[0][0].item.id == items[0].id
    np.testing.assert_allclose(gallery.vectors_of([items[0].id])[items[0].id].embedding, embedding(7, 70), atol=1e-7)


@pytest.mark.parametrize("name", ["what?", "a#b", "50%", "a b&c=d;e", "file:x?mode=memory"])
def test_a_gallery_lies_in_its_folder_whatever_the_folder_is_called(tmp_path: Path, name: str):
    with open_gallery(tmp_path / name / "gallery", DIM, SPACE) as gallery:
        gallery.enrol([new_item(1)])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "gallery" / "gallery.sqlite").is_file()
    with open_gallery(tmp_path / name / "gallery", DIM, SPACE) as gallery:
        assert gallery.count() == 1
