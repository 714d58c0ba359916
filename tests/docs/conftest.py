"""What tests of the documentation share."""

import socket

import pytest


@pytest.fixture
def free_port():
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
