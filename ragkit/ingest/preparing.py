"""From a source's listing to groups of documents that are read, cleaned and cut, to be embedded and stored together."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ragkit.components import Entry
from ragkit.ingest.cutting import Chunked, Cuttable
from ragkit.ingest.elsewhere import Cutting
from ragkit.ingest.reading import Cleaning, NamedSource, Reading, batches, entries, read
from ragkit.ingest.report import Clock
from ragkit.state import documents as table
from ragkit.state.documents import NewChunk
from ragkit.state.hashing import document_id
from ragkit.state.ledger import Ledger

_BATCH = 64
_CHUNKS = 512
"""A group has about so many chunks: enough to sort them by length for the model, few enough to lose in a crash."""
_DOCUMENTS = 1024
_CHARS = 1_000_000
"""A batch is cut as soon as it has so much text, however few documents that are: bounds memory."""


@dataclass(frozen=True)
class Prepared:
    """A document that was looked at, with the chunks of a new version. `gone` is one that is known and no longer exists."""

    reading: Reading
    chunks: Sequence[NewChunk] = ()
    gone: bool = False

    def failed(self, error: str) -> Prepared:
        """The same document as a failure: what is known of it stays as it is."""
        return Prepared(Reading(self.reading.id, self.reading.uri, "failed", error=error))

    def with_chunks(self, cut: Chunked) -> Prepared:
        """The same document with its chunks, or as a failure."""
        return self.failed(cut) if isinstance(cut, str) else Prepared(self.reading, cut, gone=self.gone)


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
    """Reads and cuts what changed. `cutting` is None where nothing is to be cut, in a dry run."""

    def __init__(self, ledger: Ledger, cutting: Cutting | None, cleaning: Cleaning, clock: Clock, *, rehash: bool) -> None:
        self.clock = clock
        self._ledger = ledger
        self._cutting = cutting
        self._cleaning = cleaning
        self._rehash = rehash

    def groups(self, source: NamedSource, seen: set[uuid.UUID], limit: int | None) -> Generator[Group, None, None]:
        """The source's documents, at most `limit`, in groups; the identities of all that it lists are added to `seen`.

        Raises what the listing raises, after the documents that were listed before.
        """
        group = Group()
        try:
            for document in self._documents(source, seen, limit):
                group.add(document)
                if group.full:
                    yield group
                    group = Group()
        except Exception:
            if group.documents:
                yield group
            raise
        if group.documents:
            yield group

    def cut(self, documents: Sequence[Cuttable]) -> list[Chunked]:
        """The chunks of each document, or why it cannot be cut."""
        return self._begin(documents)()

    def _documents(self, source: NamedSource, seen: set[uuid.UUID], limit: int | None) -> Iterator[Prepared]:
        """The documents one by one. A batch is cut while the next one is read."""
        listed = 0
        waiting: Callable[[], list[Prepared]] = list
        try:
            for batch in batches(entries(source.source), _BATCH):
                left = len(batch) if limit is None else limit - listed
                for part in _parts(self._read(source, batch[:left], seen)):
                    prepared = waiting()
                    waiting = self._prepare(part)
                    yield from prepared
                listed += len(batch)
                if limit is not None and listed >= limit:
                    break
        except Exception:
            yield from waiting()
            raise
        yield from waiting()

    def _read(self, source: NamedSource, batch: Sequence[Entry], seen: set[uuid.UUID]) -> Iterator[Prepared]:
        """The entries as far as reading goes: nothing is cut yet."""
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
            yield Prepared(reading, gone=reading.outcome == "gone" and identity in known)

    def _prepare(self, documents: Sequence[Prepared]) -> Callable[[], list[Prepared]]:
        """Begin to cut those that are new; what it returns waits for all."""
        news = [document.reading.document for document in documents]
        cut = self._begin([Cuttable(new.id, new.source, new.uri, new.title, new.text, new.metadata) for new in news if new])

        def finish() -> list[Prepared]:
            cuts = iter(cut())
            return [
                document.with_chunks(next(cuts, [])) if new else document for document, new in zip(documents, news, strict=True)
            ]

        return finish

    def _begin(self, documents: Sequence[Cuttable]) -> Callable[[], list[Chunked]]:
        return list if self._cutting is None else self._cutting.begin(documents)


def _parts(documents: Iterable[Prepared]) -> Iterator[list[Prepared]]:
    """The documents in lists, each at its end when it has a certain amount of text."""
    part: list[Prepared] = []
    chars = 0
    for document in documents:
        part.append(document)
        new = document.reading.document
        chars += len(new.text) if new else 0
        if chars >= _CHARS:
            yield part
            part, chars = [], 0
    if part:
        yield part
