"""What a query reads from the ledger: the chunks of one generation, in batches."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select

from ragkit.state.among import among, joined
from ragkit.state.hashing import id_bytes, id_text
from ragkit.state.ledger import Ledger
from ragkit.state.pending import embedded_input
from ragkit.state.records import ChunkRecord, DocumentRecord, GenerationRecord, ParentRecord
from ragkit.state.schema import chunks, documents

_BATCH = 500
_LONGEST_KEY = 1_000
"""So many characters of a key are looked for in the database, which takes no longer patterns than 50,000."""


class Reader:
    """The live chunks of one pinned generation. Threads may share it."""

    def __init__(self, ledger: Ledger, generation: GenerationRecord) -> None:
        self._ledger = ledger
        self._alive = (chunks.c.chunking == generation.chunking) & ~chunks.c.deleted
        self.generation = generation.id
        # made once: to put a statement together takes as long as to ask it
        these = among(chunks.c.id)
        self._keys = select(chunks.c.id, chunks.c.key).where(these, self._alive)
        self._inputs = select(chunks.c.id, chunks.c.lead, chunks.c.text).where(these, self._alive)
        self._input_keys = select(chunks.c.id, chunks.c.input_hash).where(these, self._alive)
        self._count_of = select(func.count()).select_from(chunks).where(these, self._alive)
        self._records = self._select(these)

    def alive(self, ids: Sequence[str]) -> dict[str, int]:
        """The row keys of those of `ids` that are neither tombstoned nor unknown."""
        with self._ledger.ask() as connection:
            return {id_text(raw): key for raw, key in connection.execute(self._keys, _asked(ids)).all()}

    def all_alive(self, ids: Sequence[str]) -> bool:
        """Whether none of `ids`, which are distinct, is tombstoned or unknown; quicker than `alive` tells which."""
        with self._ledger.ask() as connection:
            return int(connection.execute(self._count_of, _asked(ids)).scalar_one()) == len(ids)

    def chunks(self, ids: Sequence[str]) -> list[ChunkRecord]:
        """The chunks in the order of `ids`; tombstoned and unknown ones are left out."""
        with self._ledger.ask() as connection:
            found = {record.id: record for record in map(_record, connection.execute(self._records, _asked(ids)).all())}
        return [found[item] for item in ids if item in found]

    def inputs(self, ids: Sequence[str]) -> dict[str, str]:
        """What was embedded of each of those of `ids` that are alive."""
        with self._ledger.ask() as connection:
            return {id_text(raw): embedded_input(lead, text) for raw, lead, text in connection.execute(self._inputs, _asked(ids))}

    def input_keys(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Under which key the embedding cache has the vector of each of those of `ids` that are alive."""
        with self._ledger.ask() as connection:
            return {id_text(raw): key for raw, key in connection.execute(self._input_keys, _asked(ids)).all()}

    def neighbours(self, chunk_id: str, before: int, after: int) -> list[ChunkRecord]:
        """The chunk with up to `before` and `after` chunks around it in its document, in reading order."""
        centre = select(chunks.c.document, chunks.c.ordinal).where(chunks.c.id == uuid.UUID(chunk_id).bytes, self._alive)
        with self._ledger.read() as connection:
            place = connection.execute(centre).one_or_none()
            if place is None:
                return []
            near = chunks.c.ordinal.between(place.ordinal - before, place.ordinal + after)
            query = self._select((chunks.c.document == place.document) & near).order_by(chunks.c.ordinal)
            return [_record(row) for row in connection.execute(query)]

    def parent(self, chunk_id: str) -> ParentRecord | None:
        """What this chunk was cut from: the live chunks of its document that share its parent, as one; or None."""
        about = select(chunks.c.parent, chunks.c.document).where(chunks.c.id == uuid.UUID(chunk_id).bytes, self._alive)
        with self._ledger.read() as connection:
            row = connection.execute(about).one_or_none()
            if row is None or row.parent is None:
                return None
            same = (chunks.c.document == row.document) & (chunks.c.parent == row.parent)
            children = [_record(one) for one in connection.execute(self._select(same).order_by(chunks.c.ordinal))]
            packed = connection.execute(select(documents.c.text).where(documents.c.key == row.document)).scalar()
        return _parent(id_text(row.parent), children, zlib.decompress(packed).decode() if packed else "") if children else None

    def document(self, document_id: str) -> DocumentRecord | None:
        """The current version of a document with its whole text."""
        query = select(documents).where(documents.c.id == uuid.UUID(document_id).bytes, documents.c.current)
        with self._ledger.ask() as connection:
            row = connection.execute(query).one_or_none()
        return _document(row) if row is not None else None

    def document_of(self, chunk_id: str) -> DocumentRecord | None:
        """The version of the document that a chunk was cut from; its offsets refer to that text."""
        cut = select(chunks.c.document).where(chunks.c.id == uuid.UUID(chunk_id).bytes, self._alive).scalar_subquery()
        with self._ledger.ask() as connection:
            row = connection.execute(select(documents).where(documents.c.key == cut)).one_or_none()
        return _document(row) if row is not None else None

    def documents(self, *, texts: bool = True) -> Iterator[DocumentRecord]:
        """Every document that has live chunks, in the order of their keys. Without `texts` their text is left empty."""
        columns = [column for column in documents.c if texts or column is not documents.c.text]
        cut = select(chunks.c.key).where(chunks.c.document == documents.c.key, self._alive).exists()
        last = 0
        while True:
            query = select(*columns).where(documents.c.key > last, cut).order_by(documents.c.key).limit(_BATCH)
            with self._ledger.read() as connection:
                rows = connection.execute(query).all()
            if not rows:
                return
            yield from (_document(row, text=texts) for row in rows)
            last = rows[-1].key

    def has_key(self, key: str) -> bool:
        """Whether a live chunk has metadata under this key, whatever its value."""
        if key in ("source", "uri"):
            return True
        own = {"heading": chunks.c.heading != "", "page": chunks.c.page.is_not(None), "title": documents.c.title != ""}
        joined = select(documents.c.metadata).join(chunks, documents.c.key == chunks.c.document).where(self._alive)
        with self._ledger.read() as connection:
            if key in own and connection.execute(joined.where(own[key]).limit(1)).first() is not None:
                return True
            # what has the key has it as a JSON text; what has that text may have it elsewhere
            written = json.dumps(key, ensure_ascii=False).encode("utf-8", "replace").decode()[:_LONGEST_KEY]
            named = documents.c.metadata.contains(written, autoescape=True)
            cut = select(chunks.c.key).where(chunks.c.document == documents.c.key, self._alive).exists()
            with connection.execution_options(yield_per=_BATCH).execute(select(documents.c.metadata).where(named, cut)) as found:
                return any(key in json.loads(metadata) for metadata in found.scalars())

    def count(self) -> int:
        """How many live chunks there are."""
        with self._ledger.ask() as connection:
            return int(connection.execute(select(func.count()).select_from(chunks).where(self._alive)).scalar_one())

    def all(self) -> Iterator[ChunkRecord]:
        """Every live chunk, batch after batch, in the order of their keys."""
        last = 0
        while True:
            with self._ledger.read() as connection:
                query = self._select(chunks.c.key > last).order_by(chunks.c.key).limit(_BATCH)
                batch = [_record(row) for row in connection.execute(query)]
            if not batch:
                return
            yield from batch
            last = batch[-1].key

    def _select(self, condition: ColumnElement[bool]) -> Select[Any]:
        columns = [chunks.c[name] for name in ("key", "id", "ordinal", "text", "start", "end", "heading", "page")]
        about = [documents.c.id.label("document_id"), *(documents.c[name] for name in ("source", "uri", "title", "metadata"))]
        joined = select(*columns, *about).join(documents, documents.c.key == chunks.c.document)
        return joined.where(condition, self._alive)


def _record(row: Row[Any]) -> ChunkRecord:
    key, raw, ordinal, text, start, end, heading, page, document, source, uri, title, metadata = tuple(row)
    return ChunkRecord(
        key, id_text(raw), id_text(document), source, uri, title, ordinal, text, start, end, heading, page, json.loads(metadata)
    )


def _parent(parent_id: str, children: Sequence[ChunkRecord], document: str) -> ParentRecord:
    """The document's text from the first to the last of the children; theirs, where they are no pieces of it."""
    starts, ends = [child.start for child in children], [child.end for child in children]
    start = None if None in starts else min(place for place in starts if place is not None)
    end = None if None in ends else max(place for place in ends if place is not None)
    text = "\n\n".join(child.text for child in children) if start is None or end is None else document[start:end]
    whole = replace(children[0], key=0, id=parent_id, text=text, start=start, end=end)
    return ParentRecord(whole, tuple(child.id for child in children))


def _document(row: Row[Any], *, text: bool = True) -> DocumentRecord:
    return DocumentRecord(
        key=row.key, id=id_text(row.id), source=row.source, uri=row.uri, title=row.title,
        metadata=json.loads(row.metadata), text=zlib.decompress(row.text).decode() if text else "",
    )  # fmt: skip


def _asked(ids: Sequence[str]) -> dict[str, bytes]:
    """Ids as the statements take them; what is no UUID cannot be one of the ledger's chunks."""
    return {"keys": joined(raw for raw in map(id_bytes, ids) if raw is not None)}
