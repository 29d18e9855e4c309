"""A state in a folder: SQLite in WAL mode, a file for each database, and locks on files beside them."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from ragkit.errors import StateError
from ragkit.state.filesystem import is_full, refuse_network
from ragkit.state.locks import FileLock
from ragkit.state.storage import Fault

_BUSY_TIMEOUT_S = 60
_WRITERS_CACHE_KIB = 64 * 1024
_CHECKPOINT_PAGES = 16_000


class SqliteStorage:
    """See `Storage`. The database `NAME` is the file `NAME.db`."""

    place = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """See `Storage`."""
        prepare_folder(self.folder, "state")

    def open(self, name: str, *, durable: bool) -> Engine:
        """See `Storage`."""
        return open_sqlite(self._path(name), synchronous="FULL" if durable else "NORMAL")

    def single(self, engine: Engine) -> Engine:
        """See `Storage`."""
        return engine

    def close(self, engine: Engine) -> None:
        """See `Storage`."""
        engine.dispose()

    def has(self, name: str, tables: MetaData) -> bool:
        """See `Storage`."""
        return self._path(name).exists()

    def where(self, name: str) -> str:
        """See `Storage`."""
        return str(self._path(name))

    def fault(self, error: SQLAlchemyError, *, spare: bool = False) -> Fault:
        """See `Storage`."""
        reason = "the disk is full" if is_full(self.folder) else str(getattr(error, "orig", error))
        return Fault(reason, "free disk space, or delete the file: it is filled again" if spare else _cure(reason))

    def size_bytes(self, name: str, tables: MetaData) -> int:
        """See `Storage`."""
        return self._path(name).stat().st_size

    def analyze(self, engine: Engine, tables: MetaData) -> None:
        """See `Storage`. SQLite plans well by the indexes alone."""

    def lock(self, name: str, what: str) -> FileLock:
        """See `Storage`."""
        return FileLock(self.folder / "locks" / f"{name}.lock", what)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.db"


def prepare_folder(folder: Path, key: str) -> None:
    """Make a folder that is good for databases and stores; `key` is what names it in the YAML.

    Raises `StateError` where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"the state folder {folder} cannot be made: {error.strerror}",
            cure=f"point `{key}` at a folder that you may write to",
        ) from None
    refuse_network(folder, key)
    _keep_out_of_git(folder)


def open_sqlite(path: Path, *, synchronous: str) -> Engine:
    """An engine whose write transactions start with BEGIN IMMEDIATE, so that two writers queue instead of failing.

    `synchronous` is SQLite's: FULL survives a power cut with every commit, NORMAL may lose the last ones, never more.
    """
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
        max_overflow=-1,  # a connection per asking thread, however many there are
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("ragkit_write", False)
        if writes:
            connection.exec_driver_sql(f"PRAGMA cache_size=-{_WRITERS_CACHE_KIB}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    @event.listens_for(engine, "invalidate")
    def roll_back(connection: Any, record: Any, error: BaseException | None) -> None:
        # Ctrl-C within a statement: SQLAlchemy closes the connection, but SQLite keeps it and its write lock until the
        # cursor goes, and the traceback has that
        with suppress(sqlite3.ProgrammingError):  # closed already
            connection.rollback()

    return engine


def _keep_out_of_git(folder: Path) -> None:
    """A state is never worth committing, and may hold what a repository must not."""
    path = folder / ".gitignore"
    try:
        if not path.exists():
            path.write_text("*\n", encoding="utf-8")
    except OSError:
        return  # the database says better what is wrong with the folder


def _cure(reason: str) -> str:
    if "full" in reason:
        return "free some disk space and run the command again; nothing that was reported done is lost"
    if "readonly" in reason or "unable to open" in reason or "permission" in reason.lower():
        return "give yourself write permission on the state folder, or point `state` at another one"
    if "malformed" in reason or "not a database" in reason:
        return "the file is damaged: restore it from a backup, or move the state folder away and ingest again"
    return "run the command again; if it stays, `ragkit status` shows what is there"
