"""A state in PostgreSQL, for several machines: all tables in one schema, and advisory locks.

What a machine needs for itself stays in a folder there: embedded stores, raw input, uploads.
"""

from __future__ import annotations

import hashlib
import re
import select
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, MetaData, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DisconnectionError, SQLAlchemyError

from ragkit.errors import StateError
from ragkit.state.advisory import APPLICATION, AdvisoryLock
from ragkit.state.locks import FileLock, this_process
from ragkit.state.postgres_faults import judge
from ragkit.state.sqlite import prepare_folder
from ragkit.state.storage import Fault

_LONGEST_NAME = 63
_SCHEMA = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_CONNECTIONS = {"pool_size": 5, "max_overflow": 25, "pool_timeout": 60}
_CONNECT = {
    "connect_timeout": 10, "client_encoding": "utf8", "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}  # fmt: skip
_SESSION = (
    "SET search_path TO {schema}; SET lock_timeout TO '60s'; SET jit TO off; SET synchronous_commit TO DEFAULT; "
    "SET tcp_keepalives_idle TO 30; SET tcp_keepalives_interval TO 10; SET tcp_keepalives_count TO 3"
)
"""With its keepalives the server frees the locks of a machine that has lost its network after a minute, not two hours."""
_WRITE = (
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit TO {commit}; "
    "SELECT pg_advisory_xact_lock({key})"
)
"""A writer sees what the one before it has committed, so its snapshot is taken after the wait for its turn."""


class PostgresStorage:
    """See `Storage`. The databases are groups of tables in the schema that `?schema=` of the URL names, else `ragkit`."""

    def __init__(self, url: str, folder: Path) -> None:
        """Nothing is contacted yet. Raises `StateError` for a URL that is none, or without the package psycopg."""
        self.folder = folder
        self.place = ""
        self._url, self._schema = _parsed(url)
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._locks: Engine | None = None
        self._users = 0

    def prepare(self) -> None:
        """Make the folder and, where it lacks, the schema. Raises `StateError`."""
        prepare_folder(self.folder, "local")
        self.place = _place(self.folder)
        with self._connected(writes=True) as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
            if encoding != "UTF8":
                raise StateError(
                    f"the database {self.where()} has the encoding {encoding}",
                    cure="make it anew with the encoding UTF8: `createdb --encoding=UTF8 --template=template0 NAME`",
                )
            there = text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
            if not connection.execute(there, {"name": self._schema}).scalar():
                connection.exec_driver_sql(f"CREATE SCHEMA {_quoted(self._schema)}")

    def open(self, name: str, *, durable: bool) -> Engine:
        """See `Storage`. All databases share their connections."""
        with self._lock:
            self._users += 1
            if self._engine is None:
                self._engine = _engine(self._url, self._schema)
            return self._engine.execution_options(ragkit_key=self._key(f"write {name}"), ragkit_durable=durable)

    def single(self, engine: Engine) -> Engine:
        """See `Storage`."""
        return engine.execution_options(isolation_level="AUTOCOMMIT")

    def close(self, engine: Engine) -> None:
        """See `Storage`."""
        with self._lock:
            self._users = max(0, self._users - 1)
            if not self._users and self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def has(self, name: str, tables: MetaData) -> bool:
        """See `Storage`."""
        with self._connected() as connection:
            return all(size is not None for size in self._sizes(connection, tables))

    def where(self, name: str = "") -> str:
        """See `Storage`."""
        place = f"{self._url.host or self._url.query.get('host') or 'the default host'}:{self._url.port or 5432}"
        schema = "" if self._schema == "ragkit" else f", schema {self._schema}"
        return f"{place}/{self._url.database or ''}{schema}"

    def fault(self, error: SQLAlchemyError, *, spare: bool = False) -> Fault:
        """See `Storage`."""
        return judge(error)

    def size_bytes(self, name: str, tables: MetaData) -> int:
        """See `Storage`."""
        with self._connected() as connection:
            return sum(size or 0 for size in self._sizes(connection, tables))

    def analyze(self, engine: Engine, tables: MetaData) -> None:
        """See `Storage`. The server does so by itself, but a minute later at the earliest."""
        with self.single(engine).connect() as connection:
            connection.exec_driver_sql(f"ANALYZE {', '.join(_quoted(name) for name in tables.tables)}")

    def lock(self, name: str, what: str) -> AdvisoryLock:
        """See `Storage`."""
        with self._lock:
            if self._locks is None:
                made = _connecting(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
                self._locks = made
            return AdvisoryLock(self._locks, self._key(name), what, self.fault)

    @contextmanager
    def _connected(self, *, writes: bool = False) -> Iterator[Connection]:
        """A transaction of its own. Raises `StateError` where the database cannot be used."""
        engine = self.open("schema", durable=True)
        try:
            with engine.connect().execution_options(ragkit_write=writes) as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            fault = self.fault(error)
            raise StateError(f"the state in {self.where()} cannot be used: {fault.reason}", cure=fault.cure) from error
        finally:
            self.close(engine)

    def _sizes(self, connection: Connection, tables: MetaData) -> list[int | None]:
        size = text("SELECT pg_total_relation_size(to_regclass(:name))")
        names = [f"{_quoted(self._schema)}.{_quoted(name)}" for name in tables.tables]
        return [connection.execute(size, {"name": name}).scalar() for name in names]

    def _key(self, name: str) -> int:
        """The number of an advisory lock: 64 bits, signed."""
        digest = hashlib.blake2b(f"ragkit {self._schema} {name}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def _parsed(url: str) -> tuple[URL, str]:
    """What to connect to, and the schema. The errors do not quote the URL, which may hold a password."""
    cure = "write postgresql://user:password@host:port/database; in a user or password write special characters as %XX"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StateError("`state` is not a URL of PostgreSQL", cure=cure) from None
    schema = parsed.query.get("schema", "ragkit")
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise StateError("`state` names no schema", cure="write one `?schema=name` of up to 63 letters, digits and underscores")
    return parsed.difference_update_query(["schema"]).set(drivername="postgresql+psycopg"), schema


def _engine(url: URL, schema: str) -> Engine:
    engine = _connecting(url, isolation_level="REPEATABLE READ", **_CONNECTIONS)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.autocommit = True
        connection.execute(_SESSION.format(schema=_quoted(schema)))
        connection.autocommit = False

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, proxy: Any) -> None:
        # the server says nothing to an idle connection, but that it ends it; SQLAlchemy then takes another
        if connection.closed or _says_something(connection.fileno()):
            raise DisconnectionError

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("ragkit_write", False):
            commit = "DEFAULT" if options["ragkit_durable"] else "off"
            connection.exec_driver_sql(_WRITE.format(commit=commit, key=options["ragkit_key"]))

    return engine


def _says_something(socket_number: int) -> bool:
    """Whether there is something to read, without waiting for it."""
    poll = select.poll()
    poll.register(socket_number, select.POLLIN)
    return bool(poll.poll(0))


def _connecting(url: URL, **options: Any) -> Engine:
    name = f"{APPLICATION}{this_process()} on {socket.gethostname()}"[:_LONGEST_NAME]
    defaults = {**_CONNECT, "application_name": name}
    try:
        return create_engine(url, connect_args={key: value for key, value in defaults.items() if key not in url.query}, **options)
    except ImportError as error:
        raise StateError("`state: postgresql://…` needs the package psycopg", cure="pip install 'ragkit[postgres]'") from error


def _quoted(name: str) -> str:
    return f'"{name}"'


def _place(folder: Path) -> str:
    """The name of a folder among those of all machines: made once, and kept in a file there."""
    path = folder / "place"
    with FileLock(folder / "locks" / "place.lock", "the name of this folder").hold(timeout_s=10):
        try:
            return str(uuid.UUID(path.read_text(encoding="ascii").strip()))
        except (OSError, ValueError):
            name = str(uuid.uuid4())
        try:
            path.write_text(f"{name}\n", encoding="ascii")
        except OSError as error:
            raise StateError(
                f"{path} cannot be written: {error.strerror}", cure="point `local` at a folder that you may write to"
            ) from error
        return name
