"""Everything that can go wrong on the way from a checkpoint to a bundle, as one tree.

ExportError             every mistake a user can mend; the command line prints it as one line
|- OptionError          a flag, or a combination of flags, that cannot work
|- NoCrops              the pictures given to --crops leave nothing to compare on
|- TargetExists         the output folder is there already
|- GraphError           the exported graph does not hold its contract
`- ParityError          an exported graph disagrees with torch (export.parity.judge)
"""

from __future__ import annotations


class ExportError(Exception):
    """Root of the room. `is_user_error` tells the front door to print the message without a traceback."""

    is_user_error = True


class OptionError(ExportError):
    """A flag, or a combination of flags, that cannot work."""


class NoCrops(ExportError):
    """There is no picture to compare on, or too few different ones."""


class TargetExists(ExportError):
    """The output folder is there already and `--force` was not given."""


class NotComparable(ExportError):
    """Two bench files were measured on different machines or share no case."""


class GraphError(ExportError):
    """An exported graph is invalid, or its tensors are not what the bundle's contract says."""
