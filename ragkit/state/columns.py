"""Types of columns that mean the same in SQLite and in PostgreSQL, and statements that each of them writes in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Connection, Dialect, Integer, Table, Text, TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


class _Escaped(TypeDecorator[str]):
    """Text in which U+0000 may stand, which PostgreSQL does not take: it becomes U+0001 0, and U+0001 becomes U+0001 1."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or ("\0" not in value and "\1" not in value):
            return value
        return value.replace("\1", "\x011").replace("\0", "\x010")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or "\1" not in value:
            return value
        return value.replace("\x010", "\0").replace("\x011", "\1")


LONG = Integer().with_variant(BigInteger(), "postgresql")
"""A whole number of 64 bits; as a key, SQLite counts it up only if it is called INTEGER."""
TEXT = Text().with_variant(_Escaped(), "postgresql")
"""Text of any characters."""


def upsert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that takes `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
