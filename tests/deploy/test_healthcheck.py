"""The image's health check tells ready from not ready, not there, and not understood."""

import http.client
import http.server
import threading

import pytest

from deploy import healthcheck


@pytest.fixture
def answering(monkeypatch):
    """answering(status) starts a server that says so, and points the check at it."""
    servers = []

    def start(status):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status if self.path == "/health/ready" else 404)
                self.end_headers()

            def log_message(self, *_):
                pass

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("EAR_TEACHER_PORT", str(servers[-1].server_port))

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_ready_service_is_healthy(answering):
    answering(200)
    assert healthcheck.main() == 0


def test_a_service_that_is_not_ready_is_not_healthy(answering, capsys):
    answering(503)
    assert healthcheck.main() == 1
    assert "503" in capsys.readouterr().err


def test_a_service_that_is_not_there_is_not_healthy(monkeypatch, capsys):
    monkeypatch.setenv("EAR_TEACHER_PORT", "1")
    assert healthcheck.main() == 1
    assert "not ready" in capsys.readouterr().err


def test_it_speaks_tls_where_the_service_does():
    with_tls = healthcheck.connection({"EAR_TEACHER_TLS_CERT": "/cert.pem", "EAR_TEACHER_PORT": "9"})
    assert isinstance(with_tls, http.client.HTTPSConnection)
    assert with_tls.port == 9
    assert not isinstance(healthcheck.connection({}), http.client.HTTPSConnection)
