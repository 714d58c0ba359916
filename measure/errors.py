"""What can be wrong with numbers given to a measure.

One class: every measure checks its input and says what was given and what it needs.
"""

from __future__ import annotations


class MeasureError(ValueError):
    """The arrays do not fit together, are not finite, or are too few for the figure asked for."""

    is_user_error = True
