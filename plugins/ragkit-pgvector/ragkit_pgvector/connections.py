"""Connections to one database: pooled, each step bounded in time, each fault told with address and cure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.pool import QueuePool

from ragkit.errors import ComponentError
from ragkit.stores import insist
from ragkit_pgvector.faults import NAME, judge

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from sqlalchemy.pool import PoolProxiedConnection

    from ragkit_pgvector import PgvectorOptions

T = TypeVar("T")
Row = tuple[Any, ...]

_PATIENCE_S = 10.0
"""For so long a transaction is repeated that another one stood in the way of."""


class Connection(psycopg.Connection[Row]):
    """A connection that is given up when a step takes longer than `limit_s`.

    The server ends a statement that takes too long by itself; this is for one that has stopped answering at all.
    """

    limit_s: float = 60.0

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        begun = monotonic()
        limit = self.limit_s if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError:
            if timeout is not None or monotonic() - begun < limit:
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from None


class Database:
    """Runs transactions. Thread-safe; a connection that broke is replaced by the next call."""

    def __init__(self, options: PgvectorOptions) -> None:
        self._parameters = _parameters(options)
        self._timeout_s = options.timeout
        self._address = _address(self._parameters)
        connect: Any = self._connect  # psycopg's classes say more than the protocol of a DBAPI
        self.pool = QueuePool(connect, pool_size=options.pool, max_overflow=0, timeout=options.timeout, use_lifo=True)
        self.search_path = "pg_catalog"
        """Where the type `vector` lies; the tables are always named with their schema."""

    @property
    def address(self) -> str:
        """`host:port/database`, which every error names."""
        return self._address

    def run(self, work: Callable[[Connection], T], **settings: str) -> T:
        """Do `work` in one transaction with `settings`; it may be repeated from its beginning, and is whole or not at all.

        Raises `ComponentError`.
        """
        return insist(lambda: self._once(work, settings), self._judge, patience_s=min(_PATIENCE_S, self._timeout_s))

    def close(self) -> None:
        """Close all connections; another call opens new ones."""
        self.pool.dispose()

    def _judge(self, error: Exception) -> Any:
        return judge(error, self._address)

    def _once(self, work: Callable[[Connection], T], settings: dict[str, str]) -> T:
        borrowed = self._begin(settings)
        connection: Any = borrowed.driver_connection
        try:
            result = work(connection)
            connection.commit()
            return result
        except BaseException:
            _abandon(connection)
            raise
        finally:
            if connection.closed:
                borrowed.invalidate()
            borrowed.close()

    def _begin(self, settings: dict[str, str]) -> PoolProxiedConnection:
        """A connection in a new transaction. One that broke while it lay in the pool shows here, and is replaced."""
        wanted = {
            "statement_timeout": f"{max(1, round(self._timeout_s * 1000))}",
            "search_path": self.search_path,
            "jit": "off",
            **settings,
        }
        statement = f"SELECT {', '.join(['set_config(%s, %s, true)'] * len(wanted))}"
        while True:
            borrowed = self.pool.connect()
            connection: Any = borrowed.driver_connection
            used = borrowed.info.get("used", False)
            borrowed.info["used"] = True
            try:
                connection.execute(statement, [part for pair in wanted.items() for part in pair])
                return borrowed
            except psycopg.Error as error:
                borrowed.invalidate()
                borrowed.close()
                if not used or not isinstance(error, psycopg.OperationalError):
                    raise

    def _connect(self) -> Connection:
        """Statements are planned each time they run: a plan for any `LIMIT` is a bad one for most."""
        connection = Connection.connect(self._parameters, prepare_threshold=None)
        connection.limit_s = self._timeout_s * 1.25 + 1
        return connection


def _abandon(connection: Connection) -> None:
    """Take back what the transaction did; a connection that does not even take that is given up."""
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()


def _parameters(options: PgvectorOptions) -> str:
    """What psycopg connects with."""
    given: dict[str, Any] = {
        "host": options.host,
        "port": options.port,
        "dbname": options.database,
        "user": options.user,
        "password": options.password.get_secret_value() if options.password else None,
    }
    url = options.url.get_secret_value().strip() if options.url else ""
    with contextlib.suppress(psycopg.ProgrammingError):  # whose text may quote the URL
        named = conninfo_to_dict(url, **{key: value for key, value in given.items() if value is not None})
        named.setdefault("application_name", "ragkit")
        named.setdefault("connect_timeout", str(max(2, round(options.timeout))))
        return make_conninfo("", **named)
    raise ComponentError(
        f"{NAME}: the option `url` is not a URL of PostgreSQL",
        component=NAME,
        cure="write postgresql://user:password@host:port/database; in a user or password write special characters as %XX",
    )


def _address(parameters: str) -> str:
    """Where the server is, without user and password."""
    named = conninfo_to_dict(parameters)
    host = named.get("host") or named.get("hostaddr") or "the default host"
    place = f"{host}:{named.get('port') or 5432}"
    return f"{place}/{named['dbname']}" if named.get("dbname") else place
