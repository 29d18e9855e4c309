"""The table of a collection: its names, how it comes to be and goes, and its mark.

`<collection>` has a row per chunk; `ragkit_marks` in the same schema has a row per collection. The column `embedding` and the
HNSW index come with the first vectors, whose dimension they take.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from ragkit.errors import ComponentError
from ragkit_pgvector.connections import Connection, Database
from ragkit_pgvector.faults import EXTENSION_CURE, NAME

if TYPE_CHECKING:
    from ragkit_pgvector import PgvectorOptions

MOST_INDEXED = 2_000
"""The largest dimension that pgvector's HNSW takes of the type `vector`."""

_LONGEST_NAME = 63
_LOCK = 0x7261676B6974
"""The advisory lock that processes hold while they make or drop tables: `ragkit` in ASCII."""
_OPERATOR_CLASSES = {"cosine": SQL("vector_cosine_ops"), "dot": SQL("vector_ip_ops"), "l2": SQL("vector_l2_ops")}
_OLDEST = (0, 5)

_log = logging.getLogger("ragkit_pgvector")


class Table:
    """What the database is told about a collection, within a transaction of the caller."""

    def __init__(self, collection: str, options: PgvectorOptions) -> None:
        if not 0 < len(collection.encode()) <= _LONGEST_NAME or {*collection} & {"\x00", "%"}:
            raise ComponentError(
                f"{NAME}: {collection!r} is no name for a table",
                component=NAME,
                cure=f"use 1 to {_LONGEST_NAME} bytes, and no percent sign",
            )
        self.collection = collection
        self.name = Identifier(options.schema_name, collection)
        self.marks = Identifier(options.schema_name, "ragkit_marks")
        self._schema = Identifier(options.schema_name)
        self._schema_name = options.schema_name
        self._metric = options.metric
        self._index = options.index
        self._m, self._ef_construction = options.m, options.ef_construction

    # What is there

    def exists(self, connection: Connection) -> bool:
        return self._there(connection, self.name)

    def dimension(self, connection: Connection) -> int | None:
        """Of the vectors that the table takes; None before the first ones, and where there is no table."""
        statement = (
            "SELECT atttypmod FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attname = 'embedding' AND NOT attisdropped AND atttypmod > 0"
        )
        row = connection.execute(statement, [self.name.as_string()]).fetchone()
        return None if row is None else int(row[0])

    def indexed(self, connection: Connection) -> bool:
        """Whether the table has an HNSW index that is ready."""
        statement = (
            "SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam"
            " WHERE indrelid = to_regclass(%s) AND amname = 'hnsw' AND indisvalid"
        )
        return connection.execute(statement, [self.name.as_string()]).fetchone() is not None

    def marker(self, connection: Connection) -> Mapping[str, str] | None:
        """The mark; None too where the table is gone."""
        if not (self.exists(connection) and self._there(connection, self.marks)):
            return None
        statement = SQL("SELECT mark FROM {} WHERE collection = %s").format(self.marks)
        row = connection.execute(statement, [self.collection]).fetchone()
        return None if row is None else dict(row[0])

    # What is done

    def mark(self, connection: Connection, values: Mapping[str, str], *, seen: bool) -> None:
        """Keep `values` with the collection, instead of what was kept before. A table that was `seen` is not made anew."""
        if seen:
            connection.execute(SQL("SELECT FROM {} LIMIT 0").format(self.name))
        if not (self.exists(connection) and self._there(connection, self.marks)):
            self._make(connection)
        statement = SQL(
            "INSERT INTO {} (collection, mark) VALUES (%s, %s::jsonb) ON CONFLICT (collection) DO UPDATE SET mark = excluded.mark"
        ).format(self.marks)
        connection.execute(statement, [self.collection, json.dumps(dict(values))])

    def prepare(self, connection: Connection, dimension: int) -> None:
        """Make the table ready for vectors of `dimension`, which it is made for if it has none yet."""
        self._make(connection)
        self._require_own(connection)
        if self.dimension(connection) is not None:  # another process came first
            return
        column = SQL("ALTER TABLE {} ADD COLUMN embedding vector({}) NOT NULL").format(self.name, Literal(dimension))
        connection.execute(column)
        if self._index == "hnsw" and dimension > MOST_INDEXED:
            _log.warning(
                "pgvector indexes at most %d dimensions: the collection %s with %d is searched exactly, which takes longer the "
                "more it holds; `index: none` says that this is meant",
                MOST_INDEXED, self.collection, dimension,
            )  # fmt: skip
        elif self._index == "hnsw":
            statement = SQL("CREATE INDEX ON {} USING hnsw (embedding {}) WITH (m = {}, ef_construction = {})")
            numbers = Literal(self._m), Literal(self._ef_construction)
            connection.execute(statement.format(self.name, _OPERATOR_CLASSES[self._metric], *numbers))

    def drop(self, connection: Connection) -> None:
        """Remove the table and its mark; no error where they are gone."""
        self._lock(connection)
        connection.execute(SQL("DROP TABLE IF EXISTS {}").format(self.name))
        if self._there(connection, self.marks):
            connection.execute(SQL("DELETE FROM {} WHERE collection = %s").format(self.marks), [self.collection])

    def _make(self, connection: Connection) -> None:
        """Schema, marks and table, without vectors."""
        self._lock(connection)
        if connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [self._schema_name]).fetchone() is None:
            connection.execute(SQL("CREATE SCHEMA {}").format(self._schema))
        if not self._there(connection, self.marks):
            statement = 'CREATE TABLE {} (collection text COLLATE "C" PRIMARY KEY, mark jsonb NOT NULL)'
            connection.execute(SQL(statement).format(self.marks))
        if not self.exists(connection):
            statement = (
                'CREATE TABLE {} (id text COLLATE "C" PRIMARY KEY, document text COLLATE "C",'
                " metadata jsonb NOT NULL, raw text, moments jsonb, folded jsonb, content text)"
            )
            connection.execute(SQL(statement).format(self.name))
            # a hash, as a document's id may be longer than a B-tree takes
            connection.execute(SQL("CREATE INDEX ON {} USING hash (document)").format(self.name))

    def _require_own(self, connection: Connection) -> None:
        """Raise `ComponentError` for a table that somebody else made, before it is changed."""
        statement = (
            "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND NOT attisdropped"
            " AND attname IN ('id', 'document', 'metadata', 'raw', 'moments', 'folded', 'content')"
        )
        if connection.execute(statement, [self.name.as_string()]).fetchone() != (7,):
            raise ComponentError(
                f"{NAME}: the table {self.name.as_string()} is not one of ragkit's",
                component=NAME,
                cure="move it away, or name another `schema_name`",
            )

    def _there(self, connection: Connection, name: Composable) -> bool:
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name.as_string()]).fetchone()
        return bool(row and row[0])

    def _lock(self, connection: Connection) -> None:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def require_extension(database: Database) -> tuple[str, tuple[int, ...]]:
    """The search path on which the extension `vector` lies, and its version; it is made where that is allowed.

    Raises `ComponentError` where the server lacks it, the role may not make it, it is too old, or the encoding is not UTF8.
    """

    def look(connection: Connection) -> Any:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise ComponentError(
                f"{NAME} at {database.address}: the database's encoding is {encoding}, not UTF8",
                component=NAME,
                cure="make one with `createdb --encoding=UTF8 --template=template0`",
            )
        return _extension(connection)

    found = database.run(look) or database.run(lambda connection: _create(connection, database.address))
    schema, version = found
    numbers = tuple(int(part) for part in str(version).split(".") if part.isdecimal())
    if numbers < _OLDEST:
        raise ComponentError(
            f"{NAME} at {database.address}: the extension `vector` has the version {version}, which has no HNSW",
            component=NAME,
            cure="install pgvector 0.5 or newer and run `ALTER EXTENSION vector UPDATE`",
        )
    return Identifier(schema).as_string(), numbers


def _extension(connection: Connection) -> Any:
    statement = (
        "SELECT nspname, extversion FROM pg_extension"
        " JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'"
    )
    return connection.execute(statement).fetchone()


def _create(connection: Connection, address: str) -> Any:
    """Make the extension where another process has not done so meanwhile."""
    try:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute("SET LOCAL search_path TO public")
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
        said = error.diag.message_primary
        raise ComponentError(
            f"{NAME} at {address}: the database does not have the extension `vector`, and it cannot be made: {said}",
            component=NAME,
            cure=EXTENSION_CURE,
        ) from error
    return _extension(connection)
