"""Bring the ledger up to date with the sources.

A document is taken away only when its source has listed everything to the end, or says itself that it is gone; a
listing that is empty or has lost more than half takes nothing away without leave.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ragkit.errors import StateError
from ragkit.ingest.ahead import ahead
from ragkit.ingest.cutting import Cuttable
from ragkit.ingest.preparing import Prepared, Preparer
from ragkit.ingest.reading import NamedSource, describe
from ragkit.ingest.report import Failure, Progress, Tally
from ragkit.state import documents as table
from ragkit.state.ledger import Ledger
from ragkit.state.pending import embedded_input
from ragkit.state.storing import Cut, replace_chunks, store_documents

_BATCH = 64


@dataclass(frozen=True)
class Rules:
    """What an ingest may do: see `Pipeline.ingest`."""

    only: Sequence[str] = ()
    limit: int | None = None
    allow_removals: bool = False
    rehash: bool = False
    dry_run: bool = False


class Embeds(Protocol):
    """What computes vectors ahead of the views, so that they find them in the cache."""

    def prepare(self, texts: Sequence[str]) -> Mapping[str, str]:
        """Compute and keep the vectors that are not known yet; returns the texts that have none, each with the reason."""


class DocumentSync:
    """Brings documents and their chunks under one chunking up to date, group after group.

    The next documents are read and cut while the vectors of these are computed. `stored` is called after each group that
    changed something.
    """

    def __init__(
        self,
        ledger: Ledger,
        chunking: int | None,
        preparer: Preparer,
        rules: Rules,
        progress: Progress,
        *,
        embedding: Embeds | None = None,
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        """`chunking` is None in a dry run, which writes nothing; without `embedding` vectors are left to the views."""
        self._ledger = ledger
        self._chunking = chunking
        self._preparer = preparer
        self._rules = rules
        self._progress = progress
        self._embedding = embedding
        self._stored = stored
        self.tally = Tally(clock=preparer.clock)

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
            texts = [Cuttable(row.id, row.source, row.uri, row.title, row.text, row.metadata) for row in rows]
            cut = list(zip(rows, self._preparer.cut(texts), strict=True))
            self.tally.failures.extend(Failure(row.uri, chunks) for row, chunks in cut if isinstance(chunks, str))
            with self._ledger.write() as connection:
                new = [Cut(row.id, row.key, chunks) for row, chunks in cut if not isinstance(chunks, str)]
                change = replace_chunks(connection, self._chunking, new)
            self._count(change)

    def _take(self, source: NamedSource) -> None:
        """List a source and take what changed, then take away what is missing if the listing was complete."""
        seen: set[uuid.UUID] = set()
        with ahead(self._preparer.groups(source, seen, self._rules.limit)) as groups:
            while True:
                try:
                    group = next(groups, None)
                except StateError:
                    raise
                except Exception as error:  # noqa: BLE001 - a source is a plugin and may raise anything; its documents stay
                    self.tally.notes.append(
                        f"source {source.name!r} was not listed to the end, so nothing of it was removed: {describe(error)}"
                    )
                    return
                if group is None:
                    break
                self._put(source.name, group.documents)
                self._progress("documents", self.tally.looked_at, None, source.name)
        if self._rules.only or self._rules.limit is not None or not source.prunes:
            return
        self._take_away(source.name, seen, f"the source {source.name!r} listed {len(seen)} documents")

    def _put(self, source: str, documents: Sequence[Prepared]) -> None:
        """Put a group of a source's documents into the ledger in one transaction, and count it once that is durable."""
        with self.tally.clock.stage("embedding"):
            documents = self._embedded(documents)
        readings = [document.reading for document in documents]
        stamps = dict(reading.touched for reading in readings if reading.touched)
        new = [(document.reading.document, document.chunks) for document in documents if document.reading.document is not None]
        gone = [document.reading.id for document in documents if document.gone]
        if self._chunking is not None and (stamps or new or gone):
            with self.tally.clock.stage("ledger"), self._ledger.write() as connection:
                table.touch(connection, stamps)
                keys = store_documents(connection, [version for version, _ in new])
                cut = [Cut(version.id, key, chunks) for (version, chunks), key in zip(new, keys, strict=True)]
                change = replace_chunks(connection, self._chunking, cut) + table.remove(connection, gone)
            self._count(change)
        self.tally.count(source, "removed", len(gone))
        for reading in readings:
            if reading.outcome != "gone":
                self.tally.count(source, reading.outcome)
        for version, chunks in new:
            self.tally.describe(version.metadata, (chunk.tokens for chunk in chunks))
        self.tally.failures.extend(Failure(reading.uri, reading.error) for reading in readings if reading.error)

    def _embedded(self, documents: Sequence[Prepared]) -> Sequence[Prepared]:
        """The documents once the vectors of their chunks are known; one with a chunk that has none is a failure."""
        if self._embedding is None:
            return documents
        inputs = [[embedded_input(chunk.lead, chunk.text) for chunk in document.chunks] for document in documents]
        failed = self._embedding.prepare([text for texts in inputs for text in texts])
        if not failed:
            return documents
        reasons = [next((failed[text] for text in texts if text in failed), "") for texts in inputs]
        return [document.failed(reason) if reason else document for document, reason in zip(documents, reasons, strict=True)]

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
            self.tally.count(source, "removed", len(batch))

    def _count(self, change: table.ChunkChanges) -> None:
        self.tally.chunks += change
        self._stored()
