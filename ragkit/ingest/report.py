"""What an ingest did, as numbers: the object behind `ragkit ingest`, its JSON and the run's record."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

from ragkit.state.documents import ChunkChanges

T = TypeVar("T")


class Progress(Protocol):
    """Is told how far a stage (`documents`, `vector`, `keyword`) has come; `total` is None while nobody knows."""

    def __call__(self, stage: str, done: int, total: int | None, detail: str = "") -> None: ...


_AUTHORS = 50


def percentiles(lengths: Mapping[int, int]) -> dict[str, int]:
    """`min`, `p50`, `p90`, `p99` and `max` of numbers that are given with how often each occurs; empty for none."""
    total, passed = sum(lengths.values()), 0
    if not total:
        return {}
    places = {"min": 1, "p50": -(-total // 2), "p90": -(-total * 9 // 10), "p99": -(-total * 99 // 100), "max": total}
    found: dict[str, int] = {}
    for length in sorted(lengths):
        passed += lengths[length]
        found.update((name, length) for name, place in places.items() if name not in found and passed >= place)
    return {name: found[name] for name in places}


def most_frequent(counted: Counter[str]) -> dict[str, int]:
    """The most frequent ones, most frequent first."""
    return dict(counted.most_common(_AUTHORS))


def silent(stage: str, done: int, total: int | None, detail: str = "") -> None:
    """A `Progress` that says nothing."""


@dataclass(frozen=True)
class Failure:
    """A document that could not be taken, and why."""

    uri: str
    error: str


class Clock:
    """Seconds by stage. Threads may share it; stages that go on side by side add up to more than the whole."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that the block takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        """Add time that was measured elsewhere."""
        with self._lock:
            self._seconds[name] += seconds  # type: ignore[assignment]  # typeshed has counters of whole numbers alone

    def timed(self, name: str, call: Callable[[], T]) -> Callable[[], T]:
        """The same call, timed as that stage."""

        def clocked() -> T:
            with self.stage(name):
                return call()

        return clocked

    def seconds(self) -> dict[str, float]:
        """The seconds of each stage."""
        with self._lock:
            return {name: round(value, 3) for name, value in self._seconds.items()}


@dataclass
class Tally:
    """Counts while an ingest runs. `documents` has `added`, `updated`, `unchanged` and `removed`.

    `sources` has the same by source, and `failed`; `categories` and `authors` count the documents that were added or updated,
    `lengths` their chunks by tokens.
    """

    documents: Counter[str] = field(default_factory=Counter)
    chunks: ChunkChanges = field(default_factory=ChunkChanges)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: dict[str, Counter[str]] = field(default_factory=dict)
    categories: Counter[str] = field(default_factory=Counter)
    authors: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    clock: Clock = field(default_factory=Clock)

    def count(self, source: str, outcome: str, number: int = 1) -> None:
        """Count documents of a source."""
        if not number:
            return
        self.sources.setdefault(source, Counter())[outcome] += number
        if outcome != "failed":
            self.documents[outcome] += number

    def describe(self, metadata: Mapping[str, Any], lengths: Iterable[int]) -> None:
        """Count what a new version of a document says of itself, and its chunks' lengths."""
        if category := metadata.get("category"):
            self.categories[str(category)] += 1
        author = metadata.get("author")
        self.authors.update(map(str, author) if isinstance(author, list) else [str(author)] if author else ())
        self.lengths.update(lengths)

    @property
    def looked_at(self) -> int:
        """How many documents were listed so far."""
        return self.documents.total() - self.documents["removed"] + len(self.failures)

    def counts(self) -> dict[str, int]:
        """The `documents` of the report."""
        outcomes = {name: self.documents[name] for name in ("added", "updated", "unchanged", "removed")}
        return {**outcomes, "failed": len(self.failures)}


@dataclass(frozen=True)
class ViewReport:
    """Where a view stands at the end."""

    name: str
    kind: str
    applied: int
    count: int | None


@dataclass(frozen=True)
class IngestReport:
    """The outcome of an ingest. `notes` say why something was left undone; with them or failures it is done in part.

    `embedded` counts the texts that went through the model, `cache_hits` those that did not, `cache` the vectors that each
    layer of the embedding cache gave. `sources`, `categories` and `authors` (the most frequent) count documents, the last two
    those that were added or updated; `chunk_tokens` are the least, the greatest and percentiles of their chunks' lengths;
    `stages` has the seconds of each stage, of which several go on at the same time.
    """

    documents: dict[str, int]
    chunks: dict[str, int]
    embedded: int
    cache_hits: int
    views: Sequence[ViewReport]
    failures: Sequence[Failure]
    notes: Sequence[str]
    seconds: float
    dry_run: bool = False
    cache: dict[str, int] = field(default_factory=dict)
    sources: dict[str, dict[str, int]] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    authors: dict[str, int] = field(default_factory=dict)
    chunk_tokens: dict[str, int] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """0 done, 3 done in part, 1 if there is nothing to search."""
        if not self.failures and not self.notes:
            return 0
        return 3 if self.dry_run or self.chunks["total"] or self.documents["removed"] else 1

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `ragkit ingest --json`."""
        return asdict(self)
