"""Reading `train_teacher.npy`: a pickled dict inside an npy file, opened without trusting it.

Pickle executes what a file asks for, so only the handful of NumPy constructors that plain data needs are admitted. It
does not know what the entries mean (`training/data/records.py`).
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from training.errors import DataError, RefusedPickle

# What NumPy 1.x and 2.x call the constructors of arrays and scalars in a pickle.
_ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # how protocols 0 to 2 write bytes
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    ),
}
_PLAIN = (str, bytes, bool, int, float, type(None), np.generic)


class _PlainUnpickler(pickle.Unpickler):
    """Admits arrays and plain containers; everything else is refused by name before it runs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise RefusedPickle(f"{module}.{name}")
        if module == "_codecs":
            return _latin1
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedPickle(f"a persistent reference {pid!r}")


def _latin1(text: str, encoding: str) -> bytes:
    """Stands in for `_codecs.encode`, which would look up, and so import, any codec it is told."""
    if encoding != "latin1":
        raise RefusedPickle(f"_codecs.encode to {encoding!r}")
    return text.encode(encoding)


def load_plain(stream: BinaryIO, name: str) -> Any:
    """Unpickle plain data: NumPy arrays (object arrays too), lists, dicts, tuples, strings, numbers, booleans, None.

    Raises:
        RefusedPickle: it holds anything else; the message has the file's `name` and what was found. Nothing was run.
        DataError: not a readable pickle.
    """
    try:
        value = _PlainUnpickler(stream).load()
        _check_plain(value)
    except RefusedPickle as error:
        raise RefusedPickle(
            f"{name}: refused, it holds {error}; only NumPy arrays, lists, dicts, tuples, strings and numbers are read"
        ) from None
    except Exception as error:  # a hostile or damaged pickle fails in any way it likes
        raise DataError(f"{name}: not a readable file of pickled data ({type(error).__name__}: {error})") from None
    return value


def _check_plain(value: Any) -> None:
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:  # a list may contain itself
            continue
        if isinstance(item, (dict, list, tuple, np.ndarray)):
            seen.add(id(item))
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple)):
            waiting += item
        elif isinstance(item, np.ndarray):
            waiting += item.ravel().tolist() if item.dtype.hasobject else []
        elif not isinstance(item, _PLAIN):
            raise RefusedPickle(f"a {type(item).__module__}.{type(item).__qualname__}")


def read_teacher_file(path: str | Path) -> dict[str, Any]:
    """Read an `np.save`d dict: `{"image_paths": [...], "bboxes": [[x1, y1, x2, y2], ...], ...}`.

    Raises:
        DataError: missing, not an npy file, or not a dict with `image_paths`.
        RefusedPickle: it holds something other than plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    content = path.read_bytes()
    try:
        value = _unwrap(io.BytesIO(content), path)
    except ValueError as error:
        raise DataError(f"{path}: not an npy file ({error})") from None
    if not isinstance(value, dict) or "image_paths" not in value:
        found = f"a dict with {sorted(map(str, value))}" if isinstance(value, dict) else f"a {type(value).__name__}"
        raise DataError(f"{path}: holds {found}; expected a dict with 'image_paths' and 'bboxes'")
    return value


def _unwrap(stream: io.BytesIO, path: Path) -> Any:
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if not dtype.hasobject:
        raise DataError(f"{path}: holds an array {shape} of {dtype}; expected a dict with 'image_paths' and 'bboxes'")
    array = load_plain(stream, str(path))
    return array.item() if isinstance(array, np.ndarray) and array.size == 1 else array
