"""What can keep a bulk embedding from being done. An unreadable picture is none of it: it becomes a row."""

from __future__ import annotations

from serve.errors import ServeError


class BulkRefused(ServeError):
    """The source cannot be listed, or the output belongs to another job."""


class BulkFailed(ServeError):
    """A part could not be embedded; what is done stays, and the same command goes on from there."""
