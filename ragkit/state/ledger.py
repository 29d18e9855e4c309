"""The ledger: one database with the documents, their chunks, one sequence number and the live pointer.

SQLite in WAL mode through SQLAlchemy Core. Reading never waits; writing takes turns per transaction.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, select, update
from sqlalchemy.exc import DatabaseError

from ragkit.errors import StateError
from ragkit.state import schema
from ragkit.state.boundaries import boundary
from ragkit.state.filesystem import is_full, refuse_network
from ragkit.state.locks import FileLock

_BUSY_TIMEOUT_S = 60
_WRITERS_CACHE_KIB = 64 * 1024
_CHECKPOINT_PAGES = 16_000


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


class Ledger:
    """An open ledger. Threads may share it; every method takes its own connection."""

    def __init__(self, folder: Path) -> None:
        """Open or create the ledger in the state folder `folder`.

        Raises `StateError` where the folder cannot be used and `StateVersionError` for a newer ledger.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(
                f"the state folder {folder} cannot be made: {error.strerror}",
                cure="point `state` at a folder that you may write to",
            ) from None
        refuse_network(folder)
        _keep_out_of_git(folder)
        self._engine = open_sqlite(folder / "ledger.db", synchronous="FULL")
        with self.write("ledger.create") as connection:
            schema.prepare(connection, {"state_uuid": str(uuid.uuid4()), "seq": "0"})
        self.state_uuid = str(self.meta("state_uuid"))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent snapshot."""
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, name: str = "ledger.commit") -> Iterator[Connection]:
        """A transaction: all of it becomes durable at the end of the block, or nothing does."""
        with self._explained(), self._engine.connect().execution_options(ragkit_write=True) as connection:
            with connection.begin():
                yield connection
                boundary(name)
            boundary(f"{name}.done")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            reason = "the disk is full" if is_full(self.folder) else str(error.orig)
            raise StateError(f"the ledger in {self.folder} cannot be used: {reason}", cure=_cure(reason)) from error

    def lock(self, name: str, what: str) -> FileLock:
        """A lock of this state, not taken yet."""
        return FileLock(self.folder / "locks" / f"{name}.lock", what)

    def meta(self, key: str) -> str | None:
        """A value of the `meta` table."""
        with self.read() as connection:
            return connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == key)).scalar()

    def start_run(self, fingerprint: str) -> int:
        """Record that an ingest has begun; returns its number."""
        with self.write("run.start") as connection:
            values = {"started": time.time(), "status": "running", "fingerprint": fingerprint, "report": "{}"}
            return int(connection.execute(insert(schema.runs).values(values).returning(schema.runs.c.id)).scalar_one())

    def finish_run(self, run: int, status: str, report: Mapping[str, Any]) -> None:
        """Record how an ingest ended: `done`, `part` or `failed`."""
        with self.write("run.finish") as connection:
            values = {"finished": time.time(), "status": status, "report": json.dumps(report)}
            connection.execute(update(schema.runs).where(schema.runs.c.id == run).values(values))

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last ingests, newest first."""
        with self.read() as connection:
            rows = connection.execute(select(schema.runs).order_by(schema.runs.c.id.desc()).limit(limit)).mappings()
            return [{**row, "report": json.loads(row["report"])} for row in rows]

    def run(self, number: int) -> dict[str, Any] | None:
        """An ingest by its number."""
        with self.read() as connection:
            row = connection.execute(select(schema.runs).where(schema.runs.c.id == number)).mappings().one_or_none()
            return None if row is None else {**row, "report": json.loads(row["report"])}

    def counts(self, chunking: int) -> dict[str, int]:
        """Current documents, and live and truncated chunks of a chunking."""
        alive = (schema.chunks.c.chunking == chunking) & ~schema.chunks.c.deleted
        with self.read() as connection:
            return {
                "documents": connection.execute(select(func.count()).where(schema.documents.c.current)).scalar_one(),
                "chunks": connection.execute(select(func.count()).where(alive)).scalar_one(),
                "truncated": connection.execute(select(func.count()).where(alive & schema.chunks.c.truncated)).scalar_one(),
            }


def _keep_out_of_git(folder: Path) -> None:
    """A state is never worth committing, and may hold what a repository must not."""
    path = folder / ".gitignore"
    try:
        if not path.exists():
            path.write_text("*\n", encoding="utf-8")
    except OSError:
        return  # the database says better what is wrong with the folder


def next_seq(connection: Connection, count: int) -> int:
    """Reserve `count` sequence numbers in this transaction; returns the first."""
    row = schema.meta.c.key == "seq"
    last = int(connection.execute(select(schema.meta.c.value).where(row)).scalar_one())
    connection.execute(update(schema.meta).where(row).values(value=str(last + count)))
    return last + 1


def _cure(reason: str) -> str:
    if "full" in reason:
        return "free some disk space and run the command again; nothing that was reported done is lost"
    if "readonly" in reason or "unable to open" in reason or "permission" in reason.lower():
        return "give yourself write permission on the state folder, or point `state` at another one"
    if "malformed" in reason or "not a database" in reason:
        return "the file is damaged: restore it from a backup, or move the state folder away and ingest again"
    return "run the command again; if it stays, `ragkit status` shows what is there"
