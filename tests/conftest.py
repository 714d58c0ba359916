"""What every room's tests share."""

import logging

import pytest

from common.progress import ROOMS


@pytest.fixture(autouse=True)
def loggers_as_at_start():
    """Commands show their progress, and `serve` its log lines, through loggers of the process, which tests share."""
    loggers = [logging.getLogger(name) for name in (*ROOMS, "serve", "uvicorn")]
    for logger in loggers:
        _as_at_start(logger)
    yield
    for logger in loggers:
        _as_at_start(logger)


def _as_at_start(logger: logging.Logger) -> None:
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)
