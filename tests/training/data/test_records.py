"""The three data formats."""

import numpy as np
import pytest
from PIL import Image

from training.data.records import load_records
from training.errors import DataError


@pytest.fixture
def pictures(tmp_path):
    for name in ("a.jpg", "b.png", "deep/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 30)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def _teacher(folder, **columns):
    np.save(folder / "t.npy", columns)  # type: ignore[arg-type]
    return folder / "t.npy"


def test_folder_gives_every_picture_below_it(pictures):
    records = load_records(pictures)
    assert [r.path.name for r in records] == ["a.jpg", "b.png", "c.jpg"]
    assert records[0].box is None
    assert records[0].subject is None


def test_teacher_file_gives_boxes_and_paths_relative_to_itself(pictures):
    path = _teacher(pictures, image_paths=["a.jpg", "deep/c.jpg"], bboxes=[[1, 2, 10, 20], [0, 0, 5.5, 6]])
    first, second = load_records(path)
    assert first.path == pictures / "a.jpg"
    assert first.box == (1.0, 2.0, 10.0, 20.0)
    assert second.box == (0.0, 0.0, 5.5, 6.0)


def test_extra_keys_are_used_where_present(pictures):
    path = _teacher(
        pictures,
        image_paths=np.array(["a.jpg", "b.png"]),
        bboxes=np.array([[1, 2, 10, 20], [1, 2, 10, 20]]),
        subjects=["ann", None],
        sides=["left", "right"],
        landmarks=[[[1, 2], [3, 4]], [[5, 6], [float("nan"), 8]]],
        visible=[[1, 0], [1, 1]],
        light=["sun", "lamp"],
        note="one for all",
    )
    first, second = load_records(path)
    assert (first.subject, first.side, second.subject, second.side) == ("ann", "left", None, "right")
    assert first.landmarks is not None
    assert first.visible is not None
    assert second.visible is not None
    np.testing.assert_array_equal(first.landmarks, [[1, 2], [3, 4]])
    assert first.visible.tolist() == [True, False]
    assert second.visible.tolist() == [True, False]  # a landmark that is no number is not seen
    assert first.attributes == {"light": "sun"}


def test_table_gives_the_same_records(pictures):
    (pictures / "metadata.csv").write_text(
        "split,path,subject,side,x1,y1,x2,y2,pose,tragus_x,tragus_y,tragus_vis,lobe_x,lobe_y\n"
        "train,a.jpg,ann,left,1,2,10,20,frontal,5,6,1,7,8\n"
        "val,b.png,,,,,,,,,,,,\n"
    )
    first, second = load_records(pictures)
    assert (first.subject, first.side, first.box) == ("ann", "left", (1.0, 2.0, 10.0, 20.0))
    assert first.landmarks is not None
    assert second.visible is not None
    np.testing.assert_array_equal(first.landmarks, [[5, 6], [7, 8]])
    assert first.attributes == {"split": "train", "pose": "frontal"}
    assert (second.subject, second.side, second.box) == (None, None, None)
    assert second.visible.tolist() == [False, False]
    assert [r.path.name for r in load_records(pictures / "metadata.csv", split="val")] == ["b.png"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"bboxes": [[1, 2, 3, 4]]}, "bboxes|box has 1"),
        ({"bboxes": [[1, 2, 3], [1, 2, 3]]}, "shape"),
        ({"bboxes": [[9, 2, 3, 4], [1, 2, 3, 4]]}, "entry 0.*x1 < x2"),
        ({"bboxes": [[1, 2, 3, float("nan")], [1, 2, 3, 4]]}, "x1 < x2"),
        ({"sides": ["left", "up"]}, "entry 1.*'up'.*'left', 'right'"),
        ({"landmarks": [[1, 2], [3, 4]]}, "landmarks.*K x 2"),
        ({"bboxes": ["no box", "none"]}, "are not numbers"),
    ],
)
def test_entry_that_makes_no_sense_is_named(pictures, columns, message):
    path = _teacher(pictures, image_paths=["a.jpg", "b.png"], **columns)
    with pytest.raises(DataError, match=message):
        load_records(path)


def test_pictures_that_do_not_exist_are_counted_and_named(pictures):
    path = _teacher(pictures, image_paths=["a.jpg", "lost.jpg"], bboxes=[[1, 2, 3, 4]] * 2)
    with pytest.raises(DataError, match=r"1 of 2 pictures do not exist.*--skip-unreadable.*lost\.jpg"):
        load_records(path)


def test_split_without_pictures_is_refused(pictures):
    (pictures / "metadata.csv").write_text("split,path\ntrain,a.jpg\n")
    with pytest.raises(DataError, match="no pictures in split 'test'"):
        load_records(pictures, split="test")


def test_table_without_paths_is_refused(pictures):
    (pictures / "metadata.csv").write_text("file,subject\na.jpg,ann\n")
    with pytest.raises(DataError, match="no column 'path'; it has file, subject"):
        load_records(pictures)


def test_unknown_kind_of_file_lists_the_known_ones(pictures):
    with pytest.raises(DataError, match="give a folder of pictures, a tar archive"):
        load_records(pictures / "notes.txt")


def test_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match="neither a file nor a folder"):
        load_records(tmp_path / "metadata.csv")
