"""Progress of long commands: modules log at INFO level, and the command line shows it through this one handler.

Knows no module that logs. A library user who wants the lines configures `logging` as usual.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

ROOMS = ("bundle", "common", "demo", "export", "index", "measure", "training")
"""Packages whose progress a command shows; `serve` configures its own logging."""


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is when a line comes, also after it was replaced."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The current `sys.stderr`."""
        return sys.stderr


_HANDLER = StderrHandler()


def show_progress() -> None:
    """Print INFO lines and above of our packages to stderr, as they are. Calling it again changes nothing."""
    for room in ROOMS:
        logger = logging.getLogger(room)
        logger.setLevel(logging.INFO)
        if _HANDLER not in logger.handlers:
            logger.addHandler(_HANDLER)


def log_progress(logger: logging.Logger, what: str, done: int, total: int) -> None:
    """A line at every tenth of the work, at most every 500, and at the end."""
    if done == total or (done and done % max(total // 10, 500) == 0):
        logger.info("%s: %d/%d", what, done, total)
