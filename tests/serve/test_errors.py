"""Every expected exception of every room has a status; what is unexpected gives nothing away."""

import pytest
from starlette.exceptions import HTTPException

import bundle.errors
import index.errors
import serve.bulk.errors
import serve.errors
from serve.errors import Overloaded, SpaceMismatch, error_body, message_of, problem_of, retry_after_s


def family(root):
    return [root, *(kind for child in root.__subclasses__() for kind in family(child))]


BULK = (serve.bulk.errors.BulkRefused, serve.bulk.errors.BulkFailed)
NEVER_SERVED = (serve.errors.ServeError, serve.errors.ConfigurationError, *BULK)
ROOTS = (bundle.errors.BundleError, index.errors.GalleryError, serve.errors.ServeError)


@pytest.mark.parametrize("kind", [kind for root in ROOTS for kind in family(root)])
def test_every_expected_exception_has_its_own_status(kind):
    if kind in NEVER_SERVED:
        return
    assert problem_of(kind.__new__(kind)).status != 500


@pytest.mark.parametrize("kind", family(bundle.errors.ImageError))
def test_a_bad_picture_is_the_callers_mistake(kind):
    assert 400 <= problem_of(kind("x")).status < 500


def test_a_foreign_vector_is_a_conflict_that_names_both_spaces():
    error = SpaceMismatch("sp_here", "sp_there")
    assert problem_of(error).status == 409
    assert "sp_here" in message_of(error)
    assert "sp_there" in message_of(error)


def test_an_unexpected_exception_gives_nothing_away():
    error = RuntimeError("secret path")
    assert problem_of(error).status == 500
    assert "secret" not in message_of(error)


def test_frameworks_exceptions_keep_their_status():
    assert problem_of(HTTPException(405)).status == 405


def test_busy_says_when_to_come_back():
    assert retry_after_s(Overloaded("full", 0.1)) == 1
    assert retry_after_s(Overloaded("full", 7.2)) == 8
    assert retry_after_s(serve.errors.NotReady("loading")) == 2
    assert retry_after_s(serve.errors.BadRequest("no")) is None


def test_the_body_has_what_openai_clients_read():
    body = error_body(serve.errors.BadRequest("side is 'up'", "side"), "r1")
    assert body == {
        "error": {
            "message": "side is 'up'",
            "type": "invalid_request_error",
            "param": "side",
            "code": "bad_request",
            "request_id": "r1",
        }
    }
