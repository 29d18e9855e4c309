"""What a view has still to apply: the current state of every chunk beyond its number, not a log of events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from ragkit.state.hashing import canonical, digest, id_text
from ragkit.state.schema import chunks, documents


@dataclass(frozen=True)
class PendingChunk:
    """A chunk that changed. `input` is what is embedded and indexed: the lead, an empty line, the text."""

    id: str
    seq: int
    deleted: bool
    document_id: str
    input: str
    payload: Mapping[str, Any]


def pending(connection: Connection, chunking: int, applied: int, limit: int) -> list[PendingChunk]:
    """The next `limit` changes beyond `applied`, in order."""
    columns = [chunks.c[name] for name in ("id", "seq", "deleted", "lead", "text", "heading", "page")]
    about = [documents.c.id.label("document_id"), *(documents.c[name] for name in ("source", "uri", "title", "metadata"))]
    query = (
        select(*columns, *about)
        .join(documents, documents.c.key == chunks.c.document)
        .where(chunks.c.chunking == chunking, chunks.c.seq > applied)
        .order_by(chunks.c.seq)
        .limit(limit)
    )
    return [
        PendingChunk(
            id=id_text(row.id),
            seq=row.seq,
            deleted=row.deleted,
            document_id=id_text(row.document_id),
            input=embedded_input(row.lead, row.text),
            payload=payload(json.loads(row.metadata), row.source, row.uri, row.title, row.heading, row.page),
        )
        for row in connection.execute(query)
    ]


def count_pending(connection: Connection, chunking: int, applied: int) -> int:
    """How many changes lie beyond `applied`."""
    query = select(func.count()).select_from(chunks).where(chunks.c.chunking == chunking, chunks.c.seq > applied)
    return int(connection.execute(query).scalar_one())


def embedded_input(lead: str, text: str) -> str:
    """What the model and the keyword store see of a chunk."""
    return f"{lead}\n\n{text}" if lead else text


def payload(metadata: Mapping[str, Any], source: str, uri: str, title: str, heading: str, page: int | None) -> dict[str, Any]:
    """The fields that stores filter by: flat values of the document's metadata and where the chunk stands."""
    flat = {key: value for key, value in metadata.items() if _is_flat(value)}
    place = {"source": source, "uri": uri, "title": title, "heading": heading, "page": page}
    return {**flat, **{key: value for key, value in place.items() if value not in (None, "")}}


def payload_hash(values: Mapping[str, Any]) -> bytes:
    """Changes when a store's payload must be written again."""
    return digest(canonical(values))


def _is_flat(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, str | int | float | bool) for item in value)
    return isinstance(value, str | int | float | bool)
