"""A sleeping session runs like any other, takes memory only when it is run, and opens its file once."""

import threading

import numpy as np
import pytest

from bundle.errors import ContractError
from bundle.session import FakeSession, Signature
from bundle.session_asleep import SleepingSession

SIGNATURE = Signature({"x": ("float32", ("batch",))}, {"y": ("float32", ("batch",))})


def double(inputs):
    return {"y": 2 * inputs["x"]}


@pytest.fixture
def sleeper():
    opened = []

    def reopen():
        opened.append(FakeSession(double))
        return opened[-1]

    proven = FakeSession(double, "onnxruntime-cpu", "fp16", SIGNATURE)
    return SleepingSession(proven, reopen), proven, opened


def test_it_is_what_the_proven_session_was_and_frees_it(sleeper):
    session, proven, opened = sleeper
    assert (session.runtime, session.precision, session.signature()) == ("onnxruntime-cpu", "fp16", SIGNATURE)
    assert proven.closed
    assert opened == []


def test_many_threads_wake_it_once(sleeper):
    session, _, opened = sleeper
    found = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(session.run({"x": np.array([n])})["y"][0])) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(0, 16, 2))
    assert len(opened) == 1


def test_closed_it_runs_no_more_asleep_or_awake(sleeper):
    session, _, opened = sleeper
    session.run({"x": np.zeros(1)})
    session.close()
    assert opened[0].closed
    with pytest.raises(ContractError, match="was closed"):
        session.run({"x": np.zeros(1)})
