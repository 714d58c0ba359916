"""A pickle opened without trusting it."""

import io
import os
import pathlib
import pickle
import sys

import numpy as np
import pytest

from common.unpickle import RefusedPickle, UnreadableFile, load_plain, read_npy_dict


class _Malice:
    """Pickles as a call of os.mkdir("executed")."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


class _Codec:
    def __reduce__(self):
        import _codecs

        return _codecs.encode, ("x", "rot13")


def _save(path, value):
    np.save(path, np.array(value, dtype=object), allow_pickle=True)


def test_published_format_is_read(tmp_path):
    value = {"image_paths": ["a.jpg", "b.jpg"], "bboxes": [[1, 2, 3, 4], [0.5, 1, 2, 3]]}
    np.save(tmp_path / "train_teacher.npy", value)  # type: ignore[arg-type]
    assert read_npy_dict(tmp_path / "train_teacher.npy") == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_kind_and_protocol_is_read(protocol):
    value: dict = {
        "arrays": [np.arange(3.0), np.array(["x", "yz"]), np.array([None, "s", 2.5, [1]], dtype=object)],
        "scalars": (np.float32(1.5), np.int64(7), np.bool_(True), np.str_("n"), 1, 2.5, True, None, "text", b"raw"),
        "nested": {"deep": [{"er": ()}]},
    }
    found = load_plain(io.BytesIO(pickle.dumps(value, protocol=protocol)), "x.npy")
    np.testing.assert_array_equal(found["arrays"][0], value["arrays"][0])
    assert list(found["arrays"][2]) == [None, "s", 2.5, [1]]
    assert found["scalars"] == value["scalars"]
    assert found["nested"] == value["nested"]


def test_numpy_1_names_are_read():
    new = pickle.dumps({"a": np.arange(3), "s": np.float64(2)}, protocol=2)
    old = new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in old
    found = load_plain(io.BytesIO(old), "x.npy")
    np.testing.assert_array_equal(found["a"], [0, 1, 2])


@pytest.mark.parametrize("place", ["value", "key", "array"])
def test_malicious_pickle_is_refused_and_runs_nothing(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    value = {
        "value": {"image_paths": _Malice()},
        "key": {"image_paths": [], (_Malice(),): 1},
        "array": {"image_paths": np.array([_Malice()], dtype=object)},
    }[place]
    _save("train_teacher.npy", value)
    with pytest.raises(RefusedPickle, match=r"train_teacher\.npy: refused, it holds (posix|nt)\.mkdir"):
        read_npy_dict("train_teacher.npy")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (_Codec(), "rot13"),
        (set(), "set"),
        (complex(1, 2), "complex"),
        (np.random.default_rng, "default_rng"),
        (pickle.Pickler, "Pickler"),
    ],
)
def test_anything_but_plain_data_is_refused_by_name(tmp_path, value, found):
    _save(tmp_path / "t.npy", {"image_paths": [value]})
    with pytest.raises(RefusedPickle, match=found):
        read_npy_dict(tmp_path / "t.npy")


def test_bare_class_is_refused_though_numpy_itself_is_admitted(tmp_path):
    _save(tmp_path / "t.npy", {"image_paths": [np.ndarray]})
    with pytest.raises(RefusedPickle, match=r"builtins\.type"):
        read_npy_dict(tmp_path / "t.npy")


def test_list_that_contains_itself_ends():
    loop: list = []
    loop.append(loop)
    assert load_plain(io.BytesIO(pickle.dumps(loop)), "x") is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not an npy file"), (b"hello world", "not an npy file"), (b"\x93NUMPY\x01\x00", "not an npy file")],
)
def test_file_that_is_no_npy_is_named(tmp_path, content, message):
    (tmp_path / "t.npy").write_bytes(content)
    with pytest.raises(UnreadableFile, match=rf"t\.npy: {message}"):
        read_npy_dict(tmp_path / "t.npy")


def test_cut_file_is_named(tmp_path):
    _save(tmp_path / "t.npy", {"image_paths": ["a"] * 100})
    content = (tmp_path / "t.npy").read_bytes()
    (tmp_path / "t.npy").write_bytes(content[:-40])
    with pytest.raises(UnreadableFile, match=r"t\.npy: not a readable file"):
        read_npy_dict(tmp_path / "t.npy")


def test_array_of_numbers_is_refused(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros((2, 3)))
    with pytest.raises(UnreadableFile, match="expected a dict"):
        read_npy_dict(tmp_path / "t.npy")


def test_paths_come_back_as_text(tmp_path):
    value = {"image_paths": [pathlib.Path("ears/a.jpg"), pathlib.PureWindowsPath("ears", "b.jpg")]}
    np.save(tmp_path / "t.npy", value)  # type: ignore[arg-type]
    assert read_npy_dict(tmp_path / "t.npy") == {"image_paths": ["ears/a.jpg", "ears/b.jpg"]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
def test_paths_of_every_python_and_protocol_are_read(monkeypatch, protocol, module):
    monkeypatch.setitem(sys.modules, "pathlib._local", pathlib)
    monkeypatch.setattr(pathlib.PosixPath, "__module__", module)
    data = pickle.dumps(pathlib.PosixPath("a/b.jpg"), protocol=protocol)
    assert module.encode() in data
    assert load_plain(io.BytesIO(data), "x.npy") == "a/b.jpg"


def test_other_names_of_pathlib_are_refused():
    with pytest.raises(RefusedPickle, match="pathlib.os"):
        load_plain(io.BytesIO(b"cpathlib\nos\n."), "x.npy")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableFile, match=r"none\.npy: cannot be read \(No such file"):
        read_npy_dict(tmp_path / "none.npy")
