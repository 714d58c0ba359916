"""What can go wrong while ears are rendered.

SynthError
├── ConfigError      a setting that is not understood or not possible
└── AssetsMissing    a file that the renderer needs and that the user has to fetch
"""


class SynthError(Exception):
    """A mistake that the user can mend; the front door shows it as one line."""

    is_user_error = True


class ConfigError(SynthError):
    """A setting that is not understood or not possible."""


class AssetsMissing(SynthError):
    """A file that the renderer needs and that the user has to fetch."""
