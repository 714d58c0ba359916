"""Real servers for tests: PostgreSQL from Debian's packages, and Milvus Lite behind its own gRPC port."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

NUMBERS = itertools.count()
STARTING_S = 60


def program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps most of them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        advice = f"{name} is absent: install PostgreSQL's server (Debian: apt-get install postgresql)"
        assert not os.environ.get("CI"), advice
        pytest.skip(advice)
    return path


@contextmanager
def postgres() -> Iterator[Path]:
    """The folder of a running server's socket; it lies in memory where there is room for it."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="ear-teacher-pg-", dir=memory if memory.is_dir() else None))
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        shutil.chown(folder, user)

    def call(*command: str) -> None:
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    data = folder / "data"
    call(program("initdb"), "-D", str(data), "-U", "ears", "-A", "trust", "--no-sync")
    # What survives a power cut is PostgreSQL's own promise; here it would only make the disk the slowest part.
    options = f"-c fsync=off -c listen_addresses='' -c unix_socket_directories='{folder}'"
    call(program("pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield folder
    finally:
        call(program("pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def new_database(server: Path) -> str:
    """The address of empty tables' room: a role with a schema of its own, which is made faster than a database."""
    name = f"ears_{next(NUMBERS)}"
    with psycopg.connect(f"host={server} user=ears dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        connection.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}")
        connection.execute(f"ALTER ROLE {name} SET search_path = {name}")
    return f"postgresql+psycopg://{name}@/postgres?host={server}"


@contextmanager
def milvus(folder: Path) -> Iterator[str]:
    """The address of a running Milvus Lite that several processes can use; opened as a file, it takes only one."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("milvus-lite")), "server", "--data-dir", str(folder)]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + STARTING_S
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port} after {STARTING_S} s")
