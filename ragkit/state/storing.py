"""Putting new versions of documents and their chunks into the ledger, many at a time.

Every function works inside the caller's transaction. A change gives each touched chunk a new sequence number; what has not
changed keeps its own. Statements are made once and executed for a whole group: to make one takes longer than to execute it.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ragkit.state.among import among, joined
from ragkit.state.documents import ChunkChanges, NewChunk, NewDocument, bury
from ragkit.state.hashing import canonical
from ragkit.state.ledger import next_seq
from ragkit.state.schema import chunkings, chunks, cuts, documents

_VERSIONS = select(documents.c.key).where(among(documents.c.id))
_FORGET_CUTS = delete(cuts).where(cuts.c.chunking.in_(select(chunkings.c.id)), cuts.c.document.in_(_VERSIONS))
"""Every chunking is named, because the primary key begins with it: SQLite would read the whole table."""
_OUTDATE = update(documents).where(among(documents.c.id), documents.c.current).values(current=False)
_STORE = insert(documents).returning(documents.c.key, sort_by_parameter_order=True)
_THESE = select(documents.c.key, documents.c.id).where(among(documents.c.id)).cte("these").prefix_with("MATERIALIZED")
_OLD = select(
    _THESE.c.id.label("document_id"), *(chunks.c[name] for name in ("key", "id", "deleted", "input_hash", "payload_hash"))
).where(chunks.c.document == _THESE.c.key, chunks.c.chunking == bindparam("chunking"))
"""Chunks are found by their documents, which are looked up first: else a database that has not counted its rows yet may read
every chunk of the chunking.
"""
_PLACE = ("document", "ordinal", "start", "end", "page", "parent")
_MOVE = update(chunks).where(chunks.c.key == bindparam("row")).values({name: bindparam(f"new_{name}") for name in _PLACE})
_WRITTEN = (*_PLACE, "deleted", "truncated", "input_hash", "payload_hash", "heading", "lead", "text", "seq")
_RENEW = update(chunks).where(chunks.c.key == bindparam("row")).values({name: bindparam(f"new_{name}") for name in _WRITTEN})


@dataclass(frozen=True)
class Cut:
    """The chunks of a document's version, whose row has the key `key`."""

    document: uuid.UUID
    key: int
    chunks: Sequence[NewChunk]


@dataclass
class _Changes:
    """What is to be done to the rows of `chunks`."""

    inserted: list[dict[str, Any]] = field(default_factory=list)
    renewed: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    added: int = 0


def store_documents(connection: Connection, new: Sequence[NewDocument]) -> list[int]:
    """Store versions of different documents and make them the current ones; returns their keys.

    Chunks of older versions stay as they are.
    """
    if not new:
        return []
    these = {"keys": joined(document.id.bytes for document in new)}
    connection.execute(_FORGET_CUTS, these)
    connection.execute(_OUTDATE, these)
    rows = [
        {
            "id": document.id.bytes, "source": document.source, "uri": document.uri, "current": True, "title": document.title,
            "metadata": canonical(document.metadata), "content_hash": document.content_hash, "recipe": document.recipe,
            "stamp": document.stamp, "text": zlib.compress(document.text.encode()),
        }
        for document in new
    ]  # fmt: skip
    return list(connection.execute(_STORE, rows).scalars())


def replace_chunks(connection: Connection, chunking: int, cut: Sequence[Cut]) -> ChunkChanges:
    """Make these the chunks of their documents under `chunking`.

    A chunk whose id is there already keeps its row; only if its input or payload changed does it get a new sequence
    number. What is not among the new ones becomes a tombstone.
    """
    if not cut:
        return ChunkChanges()
    old: dict[bytes, dict[bytes, Row[Any]]] = {one.document.bytes: {} for one in cut}
    for row in connection.execute(_OLD, {"keys": joined(old), "chunking": chunking}):
        old[row.document_id][row.id] = row
    changes = _Changes()
    seq = next_seq(connection, sum(len(one.chunks) + len(old[one.document.bytes]) for one in cut))
    for one in cut:
        seq = _compare(one, old[one.document.bytes], chunking, seq, changes)
    if changes.inserted:
        connection.execute(insert(chunks), changes.inserted)
    if changes.renewed:
        connection.execute(_RENEW, changes.renewed)
    if changes.moved:
        connection.execute(_MOVE, changes.moved)
    bury(connection, changes.gone, seq)
    connection.execute(insert(cuts), [{"chunking": chunking, "document": one.key} for one in cut])
    return ChunkChanges(changes.added, len(changes.gone))


def _compare(one: Cut, old: Mapping[bytes, Row[Any]], chunking: int, seq: int, changes: _Changes) -> int:
    """Add to `changes` what makes the old chunks of a document the new ones; returns the next free sequence number."""
    for chunk in one.chunks:
        row, values = old.get(chunk.id.bytes), _values(chunk, one.key)
        if row is None:
            changes.inserted.append({**values, "id": chunk.id.bytes, "chunking": chunking, "seq": seq})
            changes.added += 1
        elif row.deleted or (row.input_hash, row.payload_hash) != (chunk.input_hash, chunk.payload_hash):
            changes.renewed.append({"row": row.key, **{f"new_{name}": value for name, value in values.items()}, "new_seq": seq})
            changes.added += row.deleted
        else:
            changes.moved.append({"row": row.key, **{f"new_{name}": values[name] for name in _PLACE}})
        seq += 1
    wanted = {chunk.id.bytes for chunk in one.chunks}
    changes.gone += [row.key for row in old.values() if not row.deleted and row.id not in wanted]
    return seq


def _values(chunk: NewChunk, document: int) -> dict[str, Any]:
    return {
        "document": document, "deleted": False, "ordinal": chunk.ordinal, "start": chunk.start, "end": chunk.end,
        "parent": chunk.parent.bytes if chunk.parent else None, "page": chunk.page, "truncated": chunk.truncated,
        "input_hash": chunk.input_hash, "payload_hash": chunk.payload_hash, "heading": chunk.heading, "lead": chunk.lead,
        "text": chunk.text,
    }  # fmt: skip
