"""numba's compiler, typed: a compiled function keeps the signature it was written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile on the first call and keep the result on disk. Loops over plain arrays, one thread."""
    return cast(Function, numba.njit(cache=True, fastmath=True, error_model="numpy")(function))
