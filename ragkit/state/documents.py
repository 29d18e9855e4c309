"""Documents and their chunks in the ledger: what is known, what is taken away.

Every function works inside the caller's transaction. A change gives each touched chunk a new sequence number; what has not
changed keeps its own.
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from ragkit.state.ledger import next_seq
from ragkit.state.schema import chunkings, chunks, cuts, documents


@dataclass(frozen=True)
class Known:
    """What the ledger remembers of a document's current version, to tell whether it has changed."""

    key: int
    content_hash: bytes
    recipe: bytes
    stamp: str | None


@dataclass(frozen=True)
class NewDocument:
    """A document version to store. `content_hash` is of the raw input, `recipe` of converter and cleaners."""

    id: uuid.UUID
    source: str
    uri: str
    text: str
    title: str
    metadata: Mapping[str, Any]
    content_hash: bytes
    recipe: bytes
    stamp: str | None


@dataclass(frozen=True)
class NewChunk:
    """A chunk as it was cut. `input_hash` is of what is embedded, `payload_hash` of the fields that stores filter by.

    `tokens` are those of what is embedded; the ledger does not keep them.
    """

    id: uuid.UUID
    ordinal: int
    text: str
    lead: str
    heading: str
    start: int | None
    end: int | None
    page: int | None
    truncated: bool
    input_hash: bytes
    payload_hash: bytes
    parent: uuid.UUID | None = None
    tokens: int = 0


@dataclass(frozen=True)
class StoredDocument:
    """A document version as the ledger holds it, for cutting it again. `key` is its row."""

    key: int
    id: uuid.UUID
    source: str
    uri: str
    title: str
    metadata: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class ChunkChanges:
    """How many chunks a change added and removed."""

    added: int = 0
    removed: int = 0

    def __add__(self, other: ChunkChanges) -> ChunkChanges:
        return ChunkChanges(self.added + other.added, self.removed + other.removed)


def known(connection: Connection, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Known]:
    """The current versions of those of `ids` that are there."""
    columns = (documents.c.id, documents.c.key, documents.c.content_hash, documents.c.recipe, documents.c.stamp)
    query = select(*columns).where(documents.c.id.in_([item.bytes for item in ids]), documents.c.current)
    return {uuid.UUID(bytes=row[0]): Known(*row[1:]) for row in connection.execute(query)}


def current_ids(connection: Connection, source: str) -> set[uuid.UUID]:
    """The identities of all current documents of a source."""
    query = select(documents.c.id).where(documents.c.source == source, documents.c.current)
    return {uuid.UUID(bytes=row[0]) for row in connection.execute(query)}


def origin(connection: Connection, identity: uuid.UUID) -> tuple[str, str] | None:
    """The source and the URI of a current document, or None."""
    query = select(documents.c.source, documents.c.uri).where(documents.c.id == identity.bytes, documents.c.current)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.source, row.uri)


def sources(connection: Connection) -> list[str]:
    """The names of the sources that have current documents."""
    query = select(documents.c.source).where(documents.c.current).distinct().order_by(documents.c.source)
    return list(connection.execute(query).scalars())


def touch(connection: Connection, stamps: Mapping[int, str | None]) -> None:
    """Remember new stamps of unchanged documents, by key."""
    if stamps:
        statement = update(documents).where(documents.c.key == bindparam("row")).values(stamp=bindparam("new"))
        connection.execute(statement, [{"row": key, "new": stamp} for key, stamp in stamps.items()])


def remove(connection: Connection, ids: Iterable[uuid.UUID]) -> ChunkChanges:
    """Take documents away: their chunks become tombstones under every chunking."""
    removed = 0
    for item in ids:
        versions = select(documents.c.key).where(documents.c.id == item.bytes)
        query = select(chunks.c.key).where(chunks.c.document.in_(versions), ~chunks.c.deleted)
        keys = list(connection.execute(query).scalars())
        bury(connection, keys, next_seq(connection, len(keys)))
        connection.execute(update(documents).where(documents.c.id == item.bytes).values(current=False))
        # every chunking is named, because the primary key begins with it: SQLite would read the whole table
        connection.execute(delete(cuts).where(cuts.c.chunking.in_(select(chunkings.c.id)), cuts.c.document.in_(versions)))
        removed += len(keys)
    return ChunkChanges(0, removed)


def uncut(connection: Connection, chunking: int, after: int, limit: int) -> list[StoredDocument]:
    """Current documents with a key beyond `after` that have not been cut under `chunking` yet, by key."""
    done = exists().where(cuts.c.chunking == chunking, cuts.c.document == documents.c.key)
    columns = [documents.c[name] for name in ("key", "id", "source", "uri", "title", "metadata", "text")]
    query = select(*columns).where(documents.c.current, documents.c.key > after, ~done).order_by(documents.c.key).limit(limit)
    return [
        StoredDocument(
            row.key, uuid.UUID(bytes=row.id), row.source, row.uri, row.title, json.loads(row.metadata), _unpacked(row.text)
        )
        for row in connection.execute(query)
    ]


def live_inputs(connection: Connection, size: int = 10_000) -> Iterator[list[bytes]]:
    """The inputs (see `input_key`) of all chunks that live under any chunking, in batches, some more than once."""
    query = select(chunks.c.input_hash).where(~chunks.c.deleted)
    with connection.execution_options(yield_per=size).execute(query) as found:
        for part in found.scalars().partitions():
            yield list(part)


def count_live(connection: Connection) -> int:
    """How many chunks live under any chunking."""
    return int(connection.execute(select(func.count()).select_from(chunks).where(~chunks.c.deleted)).scalar_one())


def purge(connection: Connection, chunking: int, passed: int) -> None:
    """Forget tombstones up to the number that every view of the chunking has passed, and versions nobody refers to."""
    connection.execute(delete(chunks).where(chunks.c.chunking == chunking, chunks.c.deleted, chunks.c.seq <= passed))
    used = exists().where(chunks.c.document == documents.c.key)
    connection.execute(delete(documents).where(~documents.c.current, ~used))


def _unpacked(text: bytes) -> str:
    return zlib.decompress(text).decode()


def bury(connection: Connection, keys: Sequence[int], seq: int) -> None:
    """Make tombstones of these rows, numbered from `seq` on."""
    if keys:
        statement = update(chunks).where(chunks.c.key == bindparam("row")).values(deleted=True, seq=bindparam("at"))
        connection.execute(statement, [{"row": key, "at": seq + number} for number, key in enumerate(keys)])
