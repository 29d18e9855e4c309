"""Bring the ledger up to date with the sources.

A document is taken away only when its source has listed everything to the end, or says itself that it is gone; a
listing that is empty or has lost more than half takes nothing away without leave.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.components import Entry
from ragkit.errors import StateError
from ragkit.ingest.cutting import Cuttable, Cutter
from ragkit.ingest.reading import Cleaning, NamedSource, Reading, batches, describe, entries, read
from ragkit.ingest.report import Failure, Progress, Tally
from ragkit.state import documents as table
from ragkit.state.documents import NewChunk, NewDocument
from ragkit.state.hashing import document_id
from ragkit.state.ledger import Ledger

_BATCH = 64


@dataclass(frozen=True)
class Rules:
    """What an ingest may do: see `Pipeline.ingest`."""

    only: Sequence[str] = ()
    limit: int | None = None
    allow_removals: bool = False
    rehash: bool = False
    dry_run: bool = False


class DocumentSync:
    """Brings documents and their chunks under one chunking up to date, batch after batch."""

    def __init__(
        self, ledger: Ledger, chunking: int | None, cutter: Cutter, cleaning: Cleaning, rules: Rules, progress: Progress
    ) -> None:
        """`chunking` is None in a dry run, which writes nothing."""
        self._ledger = ledger
        self._chunking = chunking
        self._cutter = cutter
        self._cleaning = cleaning
        self._rules = rules
        self._progress = progress
        self.tally = Tally()

    def run(self, sources: Sequence[NamedSource]) -> None:
        """Take every source in turn, then what the configuration no longer names."""
        for source in sources:
            if not self._rules.only or source.name in self._rules.only:
                self._take(source)
        if not self._rules.only and self._rules.limit is None:
            with self._ledger.read() as connection:
                known = table.sources(connection)
            for name in known:
                if name not in {source.name for source in sources}:
                    self._take_away(name, set(), f"the source {name!r} is no longer in the configuration")

    def cut_remaining(self) -> None:
        """Cut, from the ledger's own text, the current documents that have no chunks under this chunking yet."""
        if self._chunking is None:
            return
        after = 0
        while True:
            with self._ledger.read() as connection:
                rows = table.uncut(connection, self._chunking, after, _BATCH)
            if not rows:
                return
            after = rows[-1].key
            cut = [(row, self._cut(Cuttable(row.id, row.source, row.uri, row.title, row.text, row.metadata))) for row in rows]
            with self._ledger.write() as connection:
                changes = [
                    table.replace_chunks(connection, self._chunking, row.id, row.key, chunks)
                    for row, chunks in cut
                    if chunks is not None
                ]
            for change in changes:
                self._count(change)

    def _take(self, source: NamedSource) -> None:
        """List a source and take what changed, then take away what is missing if the listing was complete."""
        seen: set[uuid.UUID] = set()
        listed = 0
        try:
            for batch in batches(entries(source.source), _BATCH):
                left = len(batch) if self._rules.limit is None else self._rules.limit - listed
                self._take_batch(source, batch[:left], seen)
                listed += len(batch)
                self._progress("documents", self.tally.looked_at, None, source.name)
                if self._rules.limit is not None and listed >= self._rules.limit:
                    return
        except StateError:
            raise
        except Exception as error:  # noqa: BLE001 - a source is a plugin and may raise anything; its documents stay
            self.tally.notes.append(
                f"source {source.name!r} was not listed to the end, so nothing of it was removed: {describe(error)}"
            )
            return
        if self._rules.only or self._rules.limit is not None:
            return
        self._take_away(source.name, seen, f"the source {source.name!r} listed {len(seen)} documents")

    def _take_batch(self, source: NamedSource, batch: Sequence[Entry], seen: set[uuid.UUID]) -> None:
        fresh: dict[uuid.UUID, Entry] = {}
        for entry in batch:
            identity = document_id(source.name, entry.uri)
            if identity in seen:
                self.tally.failures.append(
                    Failure(entry.uri, f"the source {source.name!r} lists it twice; the first one was taken")
                )
            else:
                fresh[identity] = entry
            seen.add(identity)
        with self._ledger.read() as connection:
            known = table.known(connection, list(fresh))
        readings = [
            read(source, entry, known.get(identity), self._cleaning, rehash=self._rules.rehash)
            for identity, entry in fresh.items()
        ]
        gone = [reading.id for reading in readings if reading.outcome == "gone" and reading.id in known]
        self._write([self._cut_reading(reading) for reading in readings], gone)

    def _cut_reading(self, reading: Reading) -> tuple[Reading, list[NewChunk]]:
        """The reading with its chunks; a failed reading where the chunker fails."""
        new = reading.document
        if new is None or self._chunking is None:
            return reading, []
        chunks = self._cut(Cuttable(new.id, new.source, new.uri, new.title, new.text, new.metadata))
        return (Reading(reading.id, reading.uri, "failed"), []) if chunks is None else (reading, chunks)

    def _cut(self, document: Cuttable) -> list[NewChunk] | None:
        try:
            return self._cutter.cut(document)
        except Exception as error:  # noqa: BLE001 - a chunker is a plugin; its failure is this document's
            self.tally.failures.append(Failure(document.uri, f"cannot be cut into chunks: {describe(error, document.uri)}"))
            return None

    def _write(self, cut: Sequence[tuple[Reading, list[NewChunk]]], gone: Sequence[uuid.UUID]) -> None:
        """Put a batch into the ledger in one transaction, and count it once that is durable."""
        stamps = dict(reading.touched for reading, _ in cut if reading.touched)
        stored = [(reading.document, chunks) for reading, chunks in cut if reading.document is not None]
        if self._chunking is not None and (stamps or stored or gone):
            with self._ledger.write() as connection:
                table.touch(connection, stamps)
                changes = [self._store(connection, document, chunks) for document, chunks in stored]
                changes.append(table.remove(connection, gone))
            for change in changes:
                self._count(change)
        self.tally.documents["removed"] += len(gone)
        self.tally.documents.update(reading.outcome for reading, _ in cut if reading.outcome in ("added", "updated", "unchanged"))
        self.tally.failures.extend(Failure(reading.uri, reading.error) for reading, _ in cut if reading.error)

    def _store(self, connection: Any, document: NewDocument, chunks: Sequence[NewChunk]) -> table.ChunkChanges:
        key = table.store(connection, document)
        assert self._chunking is not None
        return table.replace_chunks(connection, self._chunking, document.id, key, chunks)

    def _take_away(self, source: str, seen: set[uuid.UUID], why: str) -> None:
        """Remove the source's documents that were not seen, if the rule allows it."""
        with self._ledger.read() as connection:
            known = table.current_ids(connection, source)
        missing = sorted(known - seen)
        if not missing:
            return
        if not self._rules.allow_removals and (len(missing) == len(known) or len(missing) * 2 > len(known)):
            self.tally.notes.append(
                f"{why}, and {len(missing)} of the {len(known)} known ones are missing; nothing was removed "
                "(if that is right, run `ragkit ingest --allow-removals`)"
            )
            return
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            if self._chunking is not None:
                with self._ledger.write() as connection:
                    change = table.remove(connection, batch)
                self._count(change)
            self.tally.documents["removed"] += len(batch)

    def _count(self, change: table.ChunkChanges) -> None:
        self.tally.chunks += change
