"""The ledger's tables, and how an older ledger becomes a newer one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    insert,
    inspect,
    select,
    update,
)

from ragkit.errors import StateError, StateVersionError
from ragkit.state.columns import LONG, TEXT

SCHEMA_VERSION = 2

TABLES = MetaData()

meta = Table("meta", TABLES, Column("key", String(64), primary_key=True), Column("value", TEXT, nullable=False))
"""`schema_version`, `state_uuid`, `seq` (the last sequence number given out) and `live` (the generation that answers)."""

documents = Table(
    "documents",
    TABLES,
    Column("key", LONG, primary_key=True),
    Column("id", LargeBinary(16), nullable=False),
    Column("source", TEXT, nullable=False),
    Column("uri", TEXT, nullable=False),
    Column("current", Boolean, nullable=False),
    Column("title", TEXT, nullable=False),
    Column("metadata", TEXT, nullable=False),
    Column("content_hash", LargeBinary(16), nullable=False),
    Column("recipe", LargeBinary(16), nullable=False),
    Column("stamp", TEXT),
    Column("text", LargeBinary, nullable=False),
    Index("documents_id", "id"),
    Index("documents_source", "source", "current"),
)
"""A row per version of a document. Only one is current; older ones stay while chunks refer to them. `text` is zlib."""

chunkings = Table(
    "chunkings",
    TABLES,
    Column("id", LONG, primary_key=True),
    Column("fingerprint", String(32), nullable=False, unique=True),
)

cuts = Table(
    "cuts",
    TABLES,
    Column("chunking", LONG, ForeignKey("chunkings.id"), primary_key=True),
    Column("document", LONG, ForeignKey("documents.key"), primary_key=True),
    Index("cuts_document", "document").ddl_if(dialect="postgresql"),  # which looks there before it deletes a document
)
"""Which version of a document has been cut under which chunking; also for those that gave no chunk."""

chunks = Table(
    "chunks",
    TABLES,
    Column("key", LONG, primary_key=True),
    Column("id", LargeBinary(16), nullable=False),
    Column("chunking", LONG, ForeignKey("chunkings.id"), nullable=False),
    Column("document", LONG, ForeignKey("documents.key"), nullable=False),
    Column("seq", LONG, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("ordinal", LONG, nullable=False),
    Column("start", LONG),
    Column("end", LONG),
    Column("parent", LargeBinary(16)),
    Column("page", LONG),
    Column("truncated", Boolean, nullable=False),
    Column("input_hash", LargeBinary(16), nullable=False),
    Column("payload_hash", LargeBinary(16), nullable=False),
    Column("heading", TEXT, nullable=False),
    Column("lead", TEXT, nullable=False),
    Column("text", TEXT, nullable=False),
    Index("chunks_id", "id", "chunking", "deleted", unique=True),  # covers the question which of a store's hits are alive
    Index("chunks_seq", "chunking", "seq"),
    Index("chunks_document", "document", "chunking"),
)
"""A chunk's last change has the number `seq`; a tombstone (`deleted`) stays until every view has passed it."""

views = Table(
    "views",
    TABLES,
    Column("id", LONG, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("chunking", LONG, ForeignKey("chunkings.id"), nullable=False),
    Column("component", TEXT, nullable=False),
    Column("processes", String(16), nullable=False),
    Column("collection", TEXT, nullable=False),
    Column("fingerprint", String(32), nullable=False),
)

copies = Table(
    "copies",
    TABLES,
    Column("view", LONG, ForeignKey("views.id"), primary_key=True),
    Column("place", String(36), primary_key=True),
    Column("host", TEXT, nullable=False),
    Column("applied", LONG, nullable=False),
    Column("seen", Float, nullable=False),
)
"""How far each copy of a view has come: the sequence number `applied`.

A store that is a server has one copy, at the place `''`; an embedded one has a copy on every machine that shares the ledger.
`host` names the machine to people, `seen` is when it was last heard of, in seconds since the epoch.
"""

generations = Table(
    "generations",
    TABLES,
    Column("id", LONG, primary_key=True),
    Column("chunking", LONG, ForeignKey("chunkings.id"), nullable=False),
    Column("vector", LONG, ForeignKey("views.id"), nullable=False),
    Column("keyword", LONG, ForeignKey("views.id"), nullable=False),
)

runs = Table(
    "runs",
    TABLES,
    Column("id", LONG, primary_key=True),
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Column("status", String(16), nullable=False),
    Column("fingerprint", String(32), nullable=False),
    Column("report", TEXT, nullable=False),
)
"""Every ingest: `status` is `running`, `done`, `part` or `failed`; times are seconds since the epoch."""


def _copies_apart(connection: Connection) -> None:
    """Version 2 keeps how far a view has come beside it, for each machine, in place of one number."""
    copies.create(connection)
    connection.exec_driver_sql("INSERT INTO copies (view, place, host, applied, seen) SELECT id, '', '', applied, 0 FROM views")
    connection.exec_driver_sql("ALTER TABLE views DROP COLUMN applied")


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {1: _copies_apart}
"""From a version to the next one; each runs inside the opening transaction."""


def prepare(connection: Connection, fresh: Mapping[str, str], where: str) -> None:
    """Create the tables with the `fresh` values, or bring an older ledger up to date; `where` names it in messages.

    Raises `StateVersionError` for a ledger of a newer ragkit and `StateError` for a database that is no ledger.
    """
    if not inspect(connection).has_table("meta"):
        TABLES.create_all(connection)
        connection.execute(insert(meta), [{"key": "schema_version", "value": str(SCHEMA_VERSION)}])
        connection.execute(insert(meta), [{"key": key, "value": value} for key, value in fresh.items()])
        return
    version = connection.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
    if version is None or not version.isdigit():
        raise StateError(
            f"{where} has no schema version; it was not made by ragkit",
            cure="point `state` at another folder",
        )
    if int(version) > SCHEMA_VERSION:
        raise StateVersionError(
            f"{where} has schema version {version}; this ragkit knows versions up to {SCHEMA_VERSION}",
            cure="upgrade ragkit (`pip install -U ragkit`), or point `state` at another folder",
        )
    for number in range(int(version), SCHEMA_VERSION):
        MIGRATIONS[number](connection)
        connection.execute(update(meta).where(meta.c.key == "schema_version").values(value=str(number + 1)))
