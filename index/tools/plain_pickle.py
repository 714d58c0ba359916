"""Reading a teacher file (a pickled dict in an npy file) without trusting it: nothing that pickle asks for is run.

Admits NumPy arrays, lists, dicts, strings and numbers, and refuses everything else by name.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import ImportRefused

ADMITTED = frozenset(
    {("numpy", "ndarray"), ("numpy", "dtype")}
    | {
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    }
)


class PlainUnpickler(pickle.Unpickler):
    """Refuses every constructor but NumPy's own of plain data."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise ImportRefused(f"it holds {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_teacher_file(file: Path) -> dict[str, Any]:
    """The columns of a teacher file, all as long as `image_paths`. Raises ImportRefused with the file's name."""
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = reader(stream)
            if dtype != np.dtype(object) or shape != ():
                raise ImportRefused(f"it holds an array of {dtype} of shape {shape}, not one dict")
            value = PlainUnpickler(stream).load()
        return checked(value.item() if isinstance(value, np.ndarray) else value)
    except ImportRefused as error:
        raise ImportRefused(
            f"{file} is refused: {error}; only arrays, lists, dicts, text and numbers are read"
        ) from None
    except Exception as error:  # a hostile or damaged pickle fails in any way it likes
        raise ImportRefused(f"{file} is no readable teacher file ({type(error).__name__}: {error})") from None


def checked(value: Any) -> dict[str, Any]:
    """A dict with `image_paths`, and no column of another length."""
    if not isinstance(value, dict) or "image_paths" not in value:
        raise ImportRefused(f"it holds a {type(value).__name__} without 'image_paths'")
    length = len(value["image_paths"])
    for name in ("bboxes", "subjects", "sides"):
        if name in value and len(value[name]) != length:
            raise ImportRefused(f"'{name}' has {len(value[name])} entries where 'image_paths' has {length}")
    return value
