"""Uploads: one file taken or taken back at once, in between the batches of whatever else is being ingested."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from ragkit.components import Entry, KeepsUploads, ListsEntries
from ragkit.errors import DocumentError, ForeignDocumentError, UnknownDocumentError
from ragkit.ingest.apply import apply
from ragkit.ingest.documents import DocumentSync, Rules
from ragkit.ingest.preparing import Preparer
from ragkit.ingest.reading import NamedSource
from ragkit.ingest.report import Clock, Progress
from ragkit.pipeline.index import Index
from ragkit.pipeline.wiring import UPLOADS
from ragkit.state import documents as table
from ragkit.state.hashing import document_id
from ragkit.state.records import GenerationRecord


@dataclass(frozen=True)
class Upload:
    """What became of a file: `outcome` is `added`, `updated` or `unchanged`, `chunks` how many it has that are new."""

    document_id: str
    uri: str
    outcome: str
    chunks: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `POST /documents`."""
        return asdict(self)


@dataclass(frozen=True)
class _One:
    """A listing of one document."""

    entry: Entry

    def entries(self) -> Iterator[Entry]:
        yield self.entry


class Uploads:
    """The uploads of one index. Threads may share it; other processes may ingest and upload meanwhile."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def put(self, name: str, raw: bytes, progress: Progress) -> Upload:
        """Keep a file and make it answerable. Raises `DocumentError` for one that is refused or cannot be read."""
        live = self._index.live()
        source = self._source()
        entry = self._keeper(source).keep(name, raw)
        sync = self._take(live, source, entry, progress)
        if sync.tally.failures:
            failure = sync.tally.failures[0]
            raise DocumentError(
                f"{failure.uri}: {failure.error}", uri=failure.uri, cure="it is kept; run `ragkit ingest` when that is mended"
            )
        self._apply(live, progress)
        outcome = next((name for name in ("added", "updated") if sync.tally.documents[name]), "unchanged")
        return Upload(str(document_id(UPLOADS, entry.uri)), entry.uri, outcome, sync.tally.chunks.added)

    def has(self, name: str, content: bytes | None = None) -> bool:
        """Whether a file of that name was uploaded; with `content`, whether it was this one."""
        source = self._source()
        if content is None or not self._keeper(source).has(name):
            return self._keeper(source).has(name)
        kept = (
            (entry for entry in source.source.entries() if entry.uri == name) if isinstance(source.source, ListsEntries) else ()
        )
        return any(entry.read() == content for entry in kept)

    def remove(self, identity: str, progress: Progress) -> str:
        """Take an upload back; returns its name.

        Raises `UnknownDocumentError` where there is none, and `ForeignDocumentError` for what another source owns.
        """
        live = self._index.live()
        source, uri = self._origin(identity)
        if source != UPLOADS:
            raise ForeignDocumentError(
                f"{uri} belongs to the source {source!r}", uri=uri, cure="take it out of that source and run `ragkit ingest`"
            )
        uploads = self._source()
        if self._index.ledger.place and not self._keeper(uploads).has(uri):
            raise ForeignDocumentError(
                f"{uri} was uploaded on another machine, which would ingest it again",
                uri=uri,
                cure="take it back there; where that machine is gone, upload a file of this name here, and take that back",
            )
        self._keeper(uploads).mark_gone(uri)
        with self._index.ledger.write() as connection:
            table.remove(connection, [uuid.UUID(identity)])
        self._apply(live, progress)
        self._keeper(uploads).forget(uri)
        return uri

    def _take(self, live: GenerationRecord, source: NamedSource, entry: Entry, progress: Progress) -> DocumentSync:
        wiring, clock = self._index.wiring, Clock()
        with closing(wiring.cutting(clock)) as cutting:
            preparer = Preparer(self._index.ledger, cutting, wiring.cleaning(), clock, rehash=False)
            rules = Rules(only=(UPLOADS,))
            sync = DocumentSync(self._index.ledger, live.chunking, preparer, rules, progress, embedding=wiring.embedding)
            sync.run([NamedSource(UPLOADS, _One(entry), source.category, prunes=False)])
        return sync

    def _apply(self, live: GenerationRecord, progress: Progress) -> None:
        """Bring both views of the live generation up to date."""
        index = self._index
        with index.pool.using(live.vector, live.keyword) as views:
            for view, model in zip(views, (index.wiring.embedding, None), strict=True):
                view.require_sound()
                apply(index.ledger, index.generations, view, model, progress)

    def _origin(self, identity: str) -> tuple[str, str]:
        """The source and the URI of a current document."""
        try:
            wanted = uuid.UUID(identity)
        except ValueError:
            found = None
        else:
            with self._index.ledger.read() as connection:
                found = table.origin(connection, wanted)
        if found is None:
            raise UnknownDocumentError(f"there is no document {identity[:60]!r}", cure="take an id from an upload or a hit")
        return found

    def _source(self) -> NamedSource:
        return self._index.wiring.uploads()

    @staticmethod
    def _keeper(source: NamedSource) -> KeepsUploads:
        if not isinstance(source.source, KeepsUploads):
            raise TypeError(f"the source {source.name!r} keeps no uploads")
        return source.source
