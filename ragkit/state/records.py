"""The records that the ledger hands out: frozen, plain, without a database behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DocumentRecord:
    """A document as the ledger holds it. `id` is a UUIDv5 of source and URI, `key` the row of this version of it."""

    key: int
    id: str
    source: str
    uri: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChunkRecord:
    """A chunk with its document's metadata.

    `text` equals `document.text[start:end]`; both offsets are None where a chunker wrote text that is no piece of its
    document. `heading` is the path of headings above it (`Guide > Install`), `page` counts from 1.
    """

    key: int
    id: str
    document_id: str
    source: str
    uri: str
    title: str
    ordinal: int
    text: str
    start: int | None
    end: int | None
    heading: str
    page: int | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ParentRecord:
    """What several chunks of a document were cut from: its text as if it were a chunk, and their ids in reading order.

    The metadata, heading and page of `whole` are those of its first chunk.
    """

    whole: ChunkRecord
    children: tuple[str, ...]


@dataclass(frozen=True)
class ViewRecord:
    """A view as the ledger knows it: `kind` is `vector` or `keyword`.

    `processes` says who may open the store: `one`, `many_readers` or `server`.
    """

    id: int
    kind: str
    component: str
    processes: str
    collection: str
    fingerprint: str
    chunking: int


@dataclass(frozen=True)
class GenerationRecord:
    """A chunking with its two views."""

    id: int
    chunking: int
    vector: ViewRecord
    keyword: ViewRecord
    live: bool
