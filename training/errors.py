"""What can go wrong in training, as one tree:

TrainingError             every mistake a user can mend; the command line prints it as one line
|- ConfigError            a flag, or a combination of flags, that cannot work
|- DataError              a data file or picture that cannot be used
|- WeightsMissing         pretrained weights are not where they were looked for
|- CheckpointError        a file that is not a checkpoint of this project
`- OutOfMemory            the device's memory did not suffice
"""


class TrainingError(Exception):
    """Root of this room's errors."""

    is_user_error = True


class ConfigError(TrainingError):
    """A flag, or a combination of flags, that cannot work."""


class DataError(TrainingError):
    """A data file or picture that cannot be used."""


class WeightsMissing(TrainingError):
    """Pretrained weights are not where they were looked for; the message says how to get them."""


class CheckpointError(TrainingError):
    """A file that is not a checkpoint of this project, or one whose networks do not fit its configuration."""


class OutOfMemory(TrainingError):
    """The device's memory did not suffice; the message says which batch size fits."""
