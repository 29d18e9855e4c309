"""From a source's listing to groups of documents that are read, cleaned and cut, to be embedded and stored together."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from ragkit.components import Entry
from ragkit.ingest.cutting import Cuttable, Cutter
from ragkit.ingest.reading import Cleaning, NamedSource, Reading, batches, describe, entries, read
from ragkit.ingest.report import Clock
from ragkit.state import documents as table
from ragkit.state.documents import NewChunk
from ragkit.state.hashing import document_id
from ragkit.state.ledger import Ledger

_BATCH = 64
_CHUNKS = 512
"""A group has about so many chunks: enough to sort them by length for the model, few enough to lose in a crash."""
_DOCUMENTS = 1024


@dataclass(frozen=True)
class Prepared:
    """A document that was looked at, with the chunks of a new version. `gone` is one that is known and no longer exists."""

    reading: Reading
    chunks: Sequence[NewChunk] = ()
    gone: bool = False

    def failed(self, error: str) -> Prepared:
        """The same document as a failure: what is known of it stays as it is."""
        return Prepared(Reading(self.reading.id, self.reading.uri, "failed", error=error))


@dataclass
class Group:
    """Documents that go into the ledger together."""

    documents: list[Prepared] = field(default_factory=list)
    chunks: int = 0

    @property
    def full(self) -> bool:
        """Whether it is large enough to be stored."""
        return self.chunks >= _CHUNKS or len(self.documents) >= _DOCUMENTS

    def add(self, document: Prepared) -> None:
        """Add a document."""
        self.documents.append(document)
        self.chunks += len(document.chunks)


class Preparer:
    """Reads and cuts what changed. `cutter` is None where nothing is to be cut, in a dry run."""

    def __init__(self, ledger: Ledger, cutter: Cutter | None, cleaning: Cleaning, clock: Clock, *, rehash: bool) -> None:
        self.clock = clock
        self._ledger = ledger
        self._cutter = cutter
        self._cleaning = cleaning
        self._rehash = rehash

    def groups(self, source: NamedSource, seen: set[uuid.UUID], limit: int | None) -> Generator[Group, None, None]:
        """The source's documents, at most `limit`, in groups; the identities of all that it lists are added to `seen`.

        Raises what the listing raises, after the documents that were listed before.
        """
        group, listed = Group(), 0
        try:
            for batch in batches(entries(source.source), _BATCH):
                left = len(batch) if limit is None else limit - listed
                for document in self._look_at(source, batch[:left], seen):
                    group.add(document)
                    if group.full:
                        yield group
                        group = Group()
                listed += len(batch)
                if limit is not None and listed >= limit:
                    break
        except Exception:
            if group.documents:
                yield group
            raise
        if group.documents:
            yield group

    def cut(self, document: Cuttable) -> list[NewChunk] | str:
        """The document's chunks, or why it cannot be cut."""
        assert self._cutter is not None
        try:
            with self.clock.stage("cutting"):
                return self._cutter.cut(document)
        except Exception as error:  # noqa: BLE001 - a chunker is a plugin; its failure is this document's
            return f"cannot be cut into chunks: {describe(error, document.uri)}"

    def _look_at(self, source: NamedSource, batch: Sequence[Entry], seen: set[uuid.UUID]) -> Iterator[Prepared]:
        fresh: dict[uuid.UUID, Entry] = {}
        for entry in batch:
            identity = document_id(source.name, entry.uri)
            if identity in seen:
                told = f"the source {source.name!r} lists it twice; the first one was taken"
                yield Prepared(Reading(identity, entry.uri, "failed", error=told))
            else:
                fresh[identity] = entry
            seen.add(identity)
        with self._ledger.read() as connection:
            known = table.known(connection, list(fresh))
        for identity, entry in fresh.items():
            with self.clock.stage("reading"):
                reading = read(source, entry, known.get(identity), self._cleaning, rehash=self._rehash)
            yield self._prepared(reading, gone=reading.outcome == "gone" and identity in known)

    def _prepared(self, reading: Reading, *, gone: bool) -> Prepared:
        new = reading.document
        if new is None or self._cutter is None:
            return Prepared(reading, gone=gone)
        chunks = self.cut(Cuttable(new.id, new.source, new.uri, new.title, new.text, new.metadata))
        return Prepared(reading).failed(chunks) if isinstance(chunks, str) else Prepared(reading, chunks)
