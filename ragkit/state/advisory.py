"""Locks in PostgreSQL: advisory ones of a session, which the server frees when the connection of their holder ends."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Connection, Engine, TextClause, bindparam, text
from sqlalchemy.exc import DBAPIError

from ragkit.errors import StateError
from ragkit.state.locks import Lock, in_use

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragkit.state.storage import Fault

APPLICATION = "ragkit: "
"""What the name begins with under which the server lists a connection of ragkit."""

_POLL_S = 0.05
_LEAST_S = 1.0
"""So long a lock is waited for in any case: the server frees what a killed process held when it notices, not at once."""
_HOLDER = text(
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND objsubid = 1 "
    "AND classid = CAST(:high AS oid) AND objid = CAST(:low AS oid) AND pid <> pg_backend_pid() LIMIT 1"
)


class AdvisoryLock(Lock):
    """A lock that all see who use the database, under a number of 64 bits.

    It has a connection of its own while it is held: to a session that holds a lock, the server gives it again.
    """

    def __init__(self, engine: Engine, key: int, what: str, judge: Callable[[DBAPIError], Fault]) -> None:
        """`engine` gives connections that commit every statement and are closed after use; `judge` says what its errors mean."""
        self.what = what
        self._engine = engine
        self._key = key
        self._judge = judge
        self._connection: Connection | None = None
        self._shared = False

    @property
    def held(self) -> bool:
        """See `Lock`."""
        return self._connection is not None

    def acquire(self, *, shared: bool = False, timeout_s: float = 0.0) -> None:
        """See `Lock`."""
        connection = self._connection
        try:
            connection = connection or self._engine.connect()
            if not self.held or shared != self._shared:
                self._take(connection, shared, time.monotonic() + max(timeout_s, _LEAST_S))
                if self.held:
                    connection.execute(_call("pg_advisory_unlock", self._shared), {"key": self._key})
        except BaseException as error:
            if connection is not None and connection is not self._connection:
                connection.close()
            if isinstance(error, DBAPIError):
                raise self._broken(error) from error
            raise
        self._connection, self._shared = connection, shared

    def _take(self, connection: Connection, shared: bool, deadline: float) -> None:
        attempt = _call("pg_try_advisory_lock", shared)
        while not connection.execute(attempt, {"key": self._key}).scalar():
            if time.monotonic() >= deadline:
                raise in_use(self.what, self._holder(connection))
            time.sleep(_POLL_S)

    def confirm(self) -> None:
        """See `Lock`."""
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
            except DBAPIError as error:
                raise self._broken(error) from error

    def release(self) -> None:
        """See `Lock`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.close()

    def _holder(self, connection: Connection) -> str:
        key = self._key % 2**64
        row = connection.execute(_HOLDER, {"high": key >> 32, "low": key % 2**32}).one_or_none()
        name = "" if row is None else str(row.application_name or "").removeprefix(APPLICATION)
        return name or "another process"

    def _broken(self, error: DBAPIError) -> StateError:
        fault = self._judge(error)
        return StateError(f"{self.what} cannot be locked: {fault.reason}", cure=fault.cure)


def _call(function: str, shared: bool) -> TextClause:
    return text(f"SELECT {function}{'_shared' if shared else ''}(:key)").bindparams(bindparam("key", type_=BigInteger))
