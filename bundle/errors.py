"""Everything that can go wrong with a bundle, a picture or a runtime, as one tree.

Knows no HTTP: the service maps these classes to status codes in its own table. Every class is the fault of what was
given (a file, a folder, a setting), so the front door prints its message as one line.

    BundleError
    ├── ImageError
    │   ├── UndecodableImage    the bytes are not a picture in an admitted format
    │   ├── ImageTooLarge       too many bytes or pixels
    │   ├── ImageTooSmall       fewer pixels than an ear needs
    │   └── BadBox              an ear box that frames nothing
    ├── ManifestError           manifest.json is absent, malformed or of another schema
    ├── ChecksumError           a file differs from what the manifest says
    ├── ContractError           tensors of the wrong name, shape, dtype or value
    ├── GoldenMismatch          the loaded model does not reproduce the golden outputs
    ├── RuntimeUnavailable      the runtime asked for cannot run here
    └── EngineError             a TensorRT engine that cannot be built, or a stale or foreign plan
"""

from __future__ import annotations


class BundleError(Exception):
    """Root of the room. `is_user_error` tells the front door to print the message without a traceback."""

    is_user_error = True


class ImageError(BundleError):
    """A picture or a box that cannot be used."""


class UndecodableImage(ImageError):
    """The bytes are not a picture in an admitted format, or are damaged."""


class ImageTooLarge(ImageError):
    """More bytes or pixels than the limits allow."""


class ImageTooSmall(ImageError):
    """Fewer pixels than the limits allow, or a strip too narrow to be squared."""


class BadBox(ImageError):
    """An ear box that is not finite, is reversed or empty, or lies outside its picture."""


class ManifestError(BundleError):
    """`manifest.json` is absent, malformed, of another schema version, or its identity does not match its text."""


class ChecksumError(BundleError):
    """A file is absent, or its size or SHA-256 differs from the manifest's."""


class ContractError(BundleError):
    """A tensor has the wrong name, shape, dtype or value."""


class GoldenMismatch(BundleError):
    """The loaded sessions do not reproduce `golden.npz` within the manifest's tolerance."""


class RuntimeUnavailable(BundleError):
    """The runtime asked for is unknown, not installed, or finds no device."""


class EngineAbsent(RuntimeUnavailable):
    """TensorRT could run here, but its engine was not built yet."""


class EngineError(BundleError):
    """A TensorRT engine cannot be built, or a cached plan is stale or belongs to another machine."""
