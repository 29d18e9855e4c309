"""The ledger: one database with the documents, their chunks, one sequence number and the live pointer.

SQLAlchemy Core over SQLite or PostgreSQL. Reading never waits; writing takes turns per transaction.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ragkit.errors import StateError
from ragkit.state import schema
from ragkit.state.boundaries import boundary
from ragkit.state.locks import FileLock, Lock
from ragkit.state.storage import BROKEN, Storage

_NAME = "ledger"


class Ledger:
    """An open ledger. Threads may share it; every method takes its own connection."""

    def __init__(self, storage: Storage) -> None:
        """Open or create the ledger of a state.

        Raises `StateError` where the state cannot be used and `StateVersionError` for a newer ledger.
        """
        self._storage = storage
        storage.prepare()
        self._engine = storage.open(_NAME, durable=True)
        self._single = storage.single(self._engine)
        with self.write("ledger.create") as connection:
            schema.prepare(connection, {"state_uuid": str(uuid.uuid4()), "seq": "0"}, storage.where(_NAME))
        self.state_uuid = str(self.meta("state_uuid"))

    @property
    def folder(self) -> Path:
        """Where the state's files of this machine are."""
        return self._storage.folder

    @property
    def place(self) -> str:
        """The name of that folder among those of all machines, or empty; see `Storage`."""
        return self._storage.place

    def close(self) -> None:
        """Close every connection."""
        self._storage.close(self._engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent snapshot."""
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def ask(self) -> Iterator[Connection]:
        """A connection for one statement that only reads."""
        with self._explained(), self._single.connect() as connection:
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
        except BROKEN as error:
            fault = self._storage.fault(error)
            raise StateError(
                f"the ledger in {self._storage.where(_NAME)} cannot be used: {fault.reason}", cure=fault.cure
            ) from error

    def lock(self, name: str, what: str) -> Lock:
        """A lock of this state, seen from every machine that shares it; not taken yet."""
        return self._storage.lock(name, what)

    def local_lock(self, name: str, what: str) -> FileLock:
        """A lock of this state's files on this machine, not taken yet."""
        return FileLock(self.folder / "locks" / f"{name}.lock", what)

    def meta(self, key: str) -> str | None:
        """A value of the `meta` table."""
        with self.ask() as connection:
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

    def analyze(self) -> None:
        """Have the database count its rows where it plans by that; for when many have changed."""
        with self._explained():
            self._storage.analyze(self._engine, schema.TABLES)

    def counts(self, chunking: int) -> dict[str, int]:
        """Current documents, and live and truncated chunks of a chunking."""
        alive = (schema.chunks.c.chunking == chunking) & ~schema.chunks.c.deleted
        with self.read() as connection:
            return {
                "documents": connection.execute(select(func.count()).where(schema.documents.c.current)).scalar_one(),
                "chunks": connection.execute(select(func.count()).where(alive)).scalar_one(),
                "truncated": connection.execute(select(func.count()).where(alive & schema.chunks.c.truncated)).scalar_one(),
            }


def next_seq(connection: Connection, count: int) -> int:
    """Reserve `count` sequence numbers in this transaction; returns the first."""
    row = schema.meta.c.key == "seq"
    last = int(connection.execute(select(schema.meta.c.value).where(row)).scalar_one())
    connection.execute(update(schema.meta).where(row).values(value=str(last + count)))
    return last + 1
