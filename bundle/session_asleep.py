"""A session that proved itself and then sleeps: its memory is taken again by the first run that needs it.

For a graph that many services never run, on runtimes that open a file in a fraction of a second. Knows no runtime.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from bundle.errors import ContractError
from bundle.session import Arrays, Session, Signature


class SleepingSession:
    """See `bundle.session.Session`. Takes over `proven` and closes it; `reopen` gives another one of the same file."""

    def __init__(self, proven: Session, reopen: Callable[[], Session]) -> None:
        self.runtime, self.precision = proven.runtime, proven.precision
        self._signature = proven.signature()
        self._reopen: Callable[[], Session] | None = reopen
        self._session: Session | None = None
        self._waking = threading.Lock()
        proven.close()

    def signature(self) -> Signature:
        """As the proven session told it."""
        return self._signature

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Every output by name; the first run opens the file. Raises what opening raises, and ContractError."""
        return self._awake().run(inputs)

    def close(self) -> None:
        """Free its memory, if it took any."""
        with self._waking:
            self._reopen = None
            if self._session is not None:
                self._session.close()

    def _awake(self) -> Session:
        with self._waking:
            if self._reopen is None:
                raise ContractError(f"the {self.runtime} session was closed")
            if self._session is None:
                self._session = self._reopen()
            return self._session
