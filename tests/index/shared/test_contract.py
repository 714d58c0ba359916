"""The gallery's own tests, put to a gallery whose truth is PostgreSQL."""

from __future__ import annotations

import inspect

import pytest

from tests.index import test_gallery, test_promotion

pytestmark = pytest.mark.slow

staged = test_promotion.staged

globals().update(
    {
        name: test
        for module in (test_gallery, test_promotion)
        for name, test in vars(module).items()
        if name.startswith("test_") and "folder" not in inspect.signature(test).parameters
    }
)
