"""What an ingest did, as numbers: the object behind `ragkit ingest`, its JSON and the run's record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from ragkit.state.documents import ChunkChanges


class Progress(Protocol):
    """Is told how far a stage (`documents`, `vector`, `keyword`) has come; `total` is None while nobody knows."""

    def __call__(self, stage: str, done: int, total: int | None, detail: str = "") -> None: ...


def silent(stage: str, done: int, total: int | None, detail: str = "") -> None:
    """A `Progress` that says nothing."""


@dataclass(frozen=True)
class Failure:
    """A document that could not be taken, and why."""

    uri: str
    error: str


@dataclass
class Tally:
    """Counts while an ingest runs. `documents` has `added`, `updated`, `unchanged` and `removed`."""

    documents: Counter[str] = field(default_factory=Counter)
    chunks: ChunkChanges = field(default_factory=ChunkChanges)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

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
    layer of the embedding cache gave.
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

    @property
    def exit_status(self) -> int:
        """0 done, 3 done in part, 1 if there is nothing to search."""
        if not self.failures and not self.notes:
            return 0
        return 3 if self.dry_run or self.chunks["total"] or self.documents["removed"] else 1

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `ragkit ingest --json`."""
        return asdict(self)
