"""Runs the application under uvicorn: tells where it listens, drains on SIGTERM, names what keeps it from starting."""

from __future__ import annotations

import os
import socket
import ssl

import uvicorn

from bundle.manifest import read_manifest
from serve.app import create_app
from serve.errors import ConfigurationError
from serve.http.connection import connection_class
from serve.lifecycle.malloc import return_large_buffers
from serve.observability.logs import configure
from serve.service import Service
from serve.settings import Settings

BACKLOG = 2048


def run(settings: Settings, sample: str = "ear.jpg", query: str = "side=left") -> None:
    """Serve until told to stop. Raises what kept the service from starting, as the room that found it says it.

    sample, query: the picture and what is said of it in the `curl` line that is printed once the service is ready.
    """
    configure(settings.log_format)
    check_tls(settings)
    return_large_buffers()
    read_manifest(settings.bundle)  # the commonest mistake is answered before anything is loaded
    app = create_app(settings)
    service: Service = app.state.service
    listener = _bind(settings)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        http=connection_class(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        backlog=BACKLOG,
        proxy_headers=False,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    server = uvicorn.Server(config)

    def loaded() -> None:
        if service.failure is not None:
            server.should_exit = True
        elif not server.should_exit:  # SIGTERM may have come while it loaded
            _, answers = service.active_ids() or ("", "")  # a promoted bundle answers in the place of --bundle
            print(_greeting(settings, port, answers, sample, query), flush=True)

    service.on_loaded = loaded
    with listener:
        server.run(sockets=[listener])
    if isinstance(service.failure, OSError):  # a folder that cannot be written, a disk that is full
        raise ConfigurationError(f"{service.failure.filename or settings.gallery}: {service.failure.strerror}")
    if service.failure is not None:
        raise service.failure


def check_tls(settings: Settings) -> None:
    """Raise ConfigurationError where the certificate and its key cannot be used."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None:
        if key is not None:
            raise ConfigurationError("--tls-key is given without --tls-cert; give both")
        return
    for flag, path in (("--tls-cert", cert), ("--tls-key", key)):
        if path is not None and not os.access(path, os.R_OK):
            raise ConfigurationError(f"{flag} {path} cannot be read: give a PEM file that is there")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"--tls-cert {cert} cannot be used with --tls-key {key}: {error}") from None


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}; choose another --port"
        ) from None
    return listener


def _greeting(settings: Settings, port: int, bundle_id: str, sample: str, query: str) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{'https' if settings.tls_cert else 'http'}://{host}:{port}"
    key = " -H 'Authorization: Bearer YOUR_KEY'" if settings.has_keys else ""
    return (
        f"ear-teacher serves {bundle_id}\n"
        f"  page      {address}/\n"
        f"  API docs  {address}/docs\n"
        f"  try       curl{key} --data-binary @{sample} '{address}/v1/embed?{query}'"
    )
