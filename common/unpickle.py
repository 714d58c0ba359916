"""Plain data out of a pickle without trusting it: nothing that the pickle asks for is run.

Admits NumPy arrays and scalars, lists, tuples, dicts, strings, bytes, numbers, booleans and None, and paths of pathlib
(which come back as text); refuses everything else by name. Does not know what the entries mean.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import numpy as np

# What NumPy 1.x and 2.x call the constructors of arrays and scalars in a pickle.
_ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    ),
}
_PLAIN = (str, bytes, bool, int, float, type(None), np.generic)


class UnreadableFile(ValueError):
    """Not a readable file of the kind that was expected; the message names the file."""


class RefusedPickle(UnreadableFile):
    """A pickle that holds something other than plain data."""


def read_npy_dict(path: str | Path) -> dict[str, Any]:
    """The dict that `np.save(path, {...})` wrote, its keys as text.

    Raises:
        UnreadableFile: missing, not an npy file, cut short, or not a dict.
        RefusedPickle: it holds something other than plain data.
    """
    try:
        stream = io.BytesIO(Path(path).read_bytes())
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read ({error.strerror})") from None
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
    except ValueError as error:
        raise UnreadableFile(f"{path}: not an npy file ({error})") from None
    if not dtype.hasobject:
        raise UnreadableFile(f"{path}: holds an array {shape} of {dtype}; expected a dict saved with np.save")
    value = load_plain(stream, str(path))
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if not isinstance(value, dict):
        raise UnreadableFile(f"{path}: holds a {type(value).__name__}; expected a dict saved with np.save")
    return {str(key): entry for key, entry in value.items()}


def load_plain(stream: BinaryIO, name: str) -> Any:
    """Unpickle plain data; `name` is for messages.

    Raises:
        RefusedPickle: it holds anything else, which is named. Nothing was run.
        UnreadableFile: not a readable pickle.
    """
    try:
        value = _PlainUnpickler(stream).load()
        _check_plain(value)
    except RefusedPickle as error:
        raise RefusedPickle(
            f"{name}: refused, it holds {error}; allowed are NumPy arrays, lists, dicts, tuples, text, numbers, paths"
        ) from None
    except Exception as error:  # a hostile or damaged pickle fails in any way it likes
        raise UnreadableFile(f"{name}: not a readable file of pickled data ({type(error).__name__}: {error})") from None
    return value


class _PlainUnpickler(pickle.Unpickler):
    """Admits arrays and plain containers; everything else is refused by name before it runs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        if (module, name) not in _ADMITTED:
            raise RefusedPickle(f"{module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedPickle(f"a persistent reference {pid!r}")


def _latin1(text: str, encoding: str) -> bytes:
    """Stands in for `_codecs.encode`, which would look up, and so import, any codec it is given."""
    if encoding != "latin1":
        raise RefusedPickle(f"_codecs.encode to {encoding!r}")
    return text.encode(encoding)


def _posix_path(*parts: str) -> str:
    return str(PurePosixPath(*parts))


def _windows_path(*parts: str) -> str:
    return PureWindowsPath(*parts).as_posix()


_STAND_INS = {
    ("_codecs", "encode"): _latin1,  # how protocols 0 to 2 write bytes
    **{
        (module, name): stand_in
        for module in ("pathlib", "pathlib._local")  # Python 3.13 has the classes in the latter
        for name, stand_in in {
            "PosixPath": _posix_path,
            "PurePosixPath": _posix_path,
            "WindowsPath": _windows_path,
            "PureWindowsPath": _windows_path,
        }.items()
    },
}


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
