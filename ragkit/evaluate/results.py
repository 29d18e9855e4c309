"""What an evaluation gives: per metric its mean and how sure it is, per question its numbers, the worst with their traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.evaluate.significance import interval

if TYPE_CHECKING:
    from ragkit.query.search import SearchResult


@dataclass(frozen=True)
class Estimate:
    """A mean over the questions with its 95 % interval, which is None for a single one. `queries` is over how many."""

    mean: float
    ci95: tuple[float, float] | None
    queries: int

    def to_dict(self) -> dict[str, Any]:
        """As in `ragkit eval --json`."""
        return {"mean": self.mean, "ci95": list(self.ci95) if self.ci95 else None, "queries": self.queries}


@dataclass(frozen=True)
class Latency:
    """Of one search for as many chunks as the largest cutoff, in milliseconds, its question embedded anew."""

    p50: float
    p95: float

    def to_dict(self) -> dict[str, float]:
        """As in `ragkit eval --json`."""
        return {"p50": round(self.p50, 3), "p95": round(self.p95, 3)}


@dataclass(frozen=True)
class QueryResult:
    """One question. `ranking` has names and strictly descending scores, best first; a metric that it lacks is None."""

    id: str
    text: str
    metrics: Mapping[str, float | None]
    latency_ms: float
    ranking: tuple[tuple[str, float], ...]
    grades: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """As in the `per_query` of a saved run."""
        return {"id": self.id, "text": self.text, "metrics": dict(self.metrics), "latency_ms": round(self.latency_ms, 3)}


@dataclass(frozen=True)
class Example:
    """A question that went badly, with what was found and the trace."""

    query: QueryResult
    found: SearchResult


@dataclass(frozen=True)
class Evaluation:
    """A configuration measured on a dataset.

    `metrics` has None for what could not be measured, and `latency_ms` is None without a question. `worst` are the
    questions with the lowest value of the first metric. `notes` say what the numbers do not.
    """

    name: str
    dataset: str
    metrics: Mapping[str, Estimate | None]
    latency_ms: Latency | None
    per_query: tuple[QueryResult, ...]
    worst: tuple[Example, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def queries(self) -> int:
        """How many questions were asked."""
        return len(self.per_query)

    def to_dict(self, *, per_query: bool = False) -> dict[str, Any]:
        """The JSON of `ragkit eval --json`; with `per_query` that of a saved run."""
        told: dict[str, Any] = {
            "name": self.name,
            "dataset": self.dataset,
            "queries": self.queries,
            "metrics": {name: item.to_dict() if item else None for name, item in self.metrics.items()},
            "latency_ms": self.latency_ms.to_dict() if self.latency_ms else None,
            "notes": list(self.notes),
        }
        return {**told, "per_query": [query.to_dict() for query in self.per_query]} if per_query else told


def summarise(names: Sequence[str], queries: Sequence[QueryResult]) -> dict[str, Estimate | None]:
    """Mean and interval of each metric over the questions that have it."""
    found: dict[str, Estimate | None] = {}
    for name in names:
        values = np.array([value for query in queries if (value := query.metrics.get(name)) is not None], dtype=np.float64)
        found[name] = Estimate(float(values.mean()), interval(values), len(values)) if len(values) else None
    return found


def latency(queries: Sequence[QueryResult]) -> Latency | None:
    """The median and the 95th percentile."""
    if not queries:
        return None
    p50, p95 = np.percentile([query.latency_ms for query in queries], (50, 95))
    return Latency(float(p50), float(p95))
