"""A real PostgreSQL with pgvector for tests, from the package `pgserver`: one server per pytest worker, on a free port.

A module that needs it says `pytest_plugins = ["postgres"]` and asks for the fixture `postgres`, or for `database`: the URL of a
database of the test's own. No test has to clean up in there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

PASSWORD = "se cret/@:%word"
"""The superuser's, with every character that a URL has to escape."""

_PATIENCE_S = 60.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "full_page_writes": "off",
    "max_connections": "60", "shared_buffers": "64MB", "log_statement": "none", "max_wal_size": "256MB",
}  # fmt: skip
_NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
"""PostgreSQL refuses to be run by root."""


class Postgres:
    """A server with its data in `folder`. `without_vector` gives one on which pgvector is not installed."""

    def __init__(self, folder: Path, *, without_vector: bool = False) -> None:
        self.folder = folder
        self.port = 0
        self._data = folder / "data"
        self._install = _installation(folder, without_vector=without_vector)
        self._process: subprocess.Popen[bytes] | None = None
        self._data.mkdir(mode=0o700)
        if _NOBODY:
            os.chown(self._data, _NOBODY["user"], _NOBODY["group"])
        secret = folder / "password"
        secret.write_text(PASSWORD)
        self._call("initdb", "-N", "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C")

    def start(self) -> None:
        """Start on a free port, the same as before where there was one; return once it takes connections."""
        self.port = self.port or free_port()
        settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
        command = [str(self._install / "bin" / "postgres"), "-D", str(self._data), "-p", str(self.port), *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **_NOBODY)
        until = time.monotonic() + _PATIENCE_S
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                assert time.monotonic() < until, (self.folder / "log").read_text(errors="replace")
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop at once, and cut every connection."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send a signal to the server's first process, which takes new connections."""
        assert self._process is not None
        self._process.send_signal(number)

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: Any, *parameters: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as superuser, outside of a transaction; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, options: str = "") -> str:
        """A new database; its name."""
        name = f"test_{uuid4().hex[:12]}"
        self.execute(SQL("CREATE DATABASE {} {}").format(Identifier(name), SQL(options)))
        return name

    def create_role(self, password: str) -> str:
        """A role that may log in and nothing else; its name."""
        name = f"role_{uuid4().hex[:12]}"
        self.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(name), Literal(password)))
        return name

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._install / "bin" / program), "-D", str(self._data), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **_NOBODY)
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def running(*, without_vector: bool = False) -> Iterator[Postgres]:
    """A server of one's own, which is stopped and removed at the end."""
    if find_spec("pgserver") is None:
        pytest.skip("PostgreSQL is not there: pip install pgserver")
    with tempfile.TemporaryDirectory(prefix="ragkit-postgres-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        server = Postgres(Path(name), without_vector=without_vector)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server."""
    with running() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of a new database, for the superuser."""
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _installation(folder: Path, *, without_vector: bool) -> Path:
    """Where the programs are: in the package, or in a copy where that is not open to everyone, or not without pgvector."""
    spec = find_spec("pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    installed = Path(spec.submodule_search_locations[0]) / "pginstall"
    if not without_vector and _runs(installed):
        return installed
    copy = folder / "copy" / "pgserver" / "pginstall"
    for part in (Path("pgserver/pginstall"), Path("pgserver.libs")):  # the programs look for their libraries beside the package
        skipped = shutil.ignore_patterns("vector*") if without_vector else None
        shutil.copytree(installed.parent.parent / part, folder / "copy" / part, symlinks=True, ignore=skipped)
    return copy


def _runs(install: Path) -> bool:
    try:
        done = subprocess.run([install / "bin" / "postgres", "--version"], capture_output=True, cwd="/", check=False, **_NOBODY)
    except OSError:
        return False
    return done.returncode == 0
