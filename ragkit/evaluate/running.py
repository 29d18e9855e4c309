"""Asking every question of a dataset, and measuring what comes back."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.evaluate.datasets import Dataset, Query, load
from ragkit.evaluate.matching import Judge, Judged, batches
from ragkit.evaluate.metrics import DEFAULT, PASSAGES, Metric, parse, require_library, score, strictly_descending
from ragkit.evaluate.results import Evaluation, Example, QueryResult, latency, summarise
from ragkit.evaluate.spans import overlap
from ragkit.query.run import MAX_HITS

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode

    from ragkit.ingest.report import Progress
    from ragkit.pipeline import Pipeline
    from ragkit.query.search import SearchResult

WORST = 10
"""How many of the worst questions keep their traces."""

_BATCH = 256
_WARM_UP = "the first question loads the model, which is nobody's latency"


def evaluate(
    pipeline: Pipeline,
    dataset: Dataset | str | Path,
    *,
    split: str = "test",
    metrics: Sequence[str] = (),
    limit: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a pipeline's retrieval on a dataset: a BEIR folder, a JSONL file, or a `Dataset`.

    Every question is asked for as many chunks as the largest cutoff, and for twice as many again until they come from
    that many distinct documents, whatever `top_k` says. A document stands where its best chunk stands. `metrics` are
    such as `ndcg@10`; by default those of `DEFAULT`, and those of `PASSAGES` where the dataset has passages. `limit`
    takes the first questions alone.

    Raises `DatasetError` for data that cannot be used, and whatever searching raises.
    """
    require_library()
    data = (dataset if isinstance(dataset, Dataset) else load(Path(dataset), split=split)).head(limit)
    measures = parse(metrics or (*DEFAULT, *(PASSAGES if data.has_passages else ())))
    with pipeline.reader() as reader:
        judge = Judge(data, reader)
    run = _Run(pipeline, judge, measures)
    with pipeline.without_query_cache():
        pipeline.search(_WARM_UP, k=run.depth)
        for batch in batches(data.queries, _BATCH):
            run.ask(batch, lambda done: progress("questions", done, len(data.queries)) if progress else None)
    names = [str(metric) for metric in measures]
    return Evaluation(
        name=pipeline.config.name,
        dataset=data.name,
        metrics=summarise(names, run.results),
        latency_ms=latency(run.results),
        per_query=tuple(run.results),
        worst=run.worst(),
        notes=(*data.notes, *judge.notes, *run.notes()),
    )


@dataclass(frozen=True)
class _Found:
    """What a question found: names best first, distinct; and how long the first search took."""

    result: SearchResult
    ranking: list[tuple[str, float]]
    latency_ms: float
    is_filled: bool


class _Run:
    """The questions of one evaluation, batch after batch; of what they found only names and scores stay."""

    def __init__(self, pipeline: Pipeline, judge: Judge, metrics: Sequence[Metric]) -> None:
        self._pipeline = pipeline
        self._judge = judge
        self._metrics = metrics
        self._names: dict[str, str] = {}
        self._worst: list[tuple[float, int, Example]] = []
        self._generations: set[int] = set()
        self._degraded: list[str] = []
        self._short = 0
        self._unmeasured = 0
        self._filled = max((metric.cutoff for metric in metrics if not metric.of_spans), default=0)
        self.depth = max(metric.cutoff for metric in metrics)
        self.results: list[QueryResult] = []

    def ask(self, queries: Sequence[Query], done: Callable[[int], None]) -> None:
        """Ask and measure a batch."""
        found: dict[str, _Found] = {}
        for query in queries:
            found[query.id] = self._retrieve(query.text, self._judge.judged[query.id])
            done(len(self.results) + len(found))
        grades = {query.id: self._judge.judged[query.id].grades for query in queries}
        measured = score(self._metrics, grades, {key: item.ranking for key, item in found.items()})
        for query in queries:
            item = found[query.id]
            values: dict[Metric, float | None] = {**measured[query.id], **self._spans(item.result, self._judge.judged[query.id])}
            metrics = {str(metric): values.get(metric) for metric in self._metrics}
            result = QueryResult(query.id, query.text, metrics, item.latency_ms, tuple(item.ranking), grades[query.id])
            self._keep(result, item)

    def worst(self) -> tuple[Example, ...]:
        """The questions with the lowest value of the first metric, the lowest first."""
        return tuple(example for _, _, example in sorted(self._worst, key=lambda entry: (-entry[0], -entry[1])))

    def notes(self) -> list[str]:
        """What happened on the way."""
        notes = []
        if len(self._generations) > 1:
            notes.append("the index changed while the questions were asked: run again for numbers of one index")
        if self._short:
            notes.append(f"{self._short} questions found fewer than {self._filled} distinct documents in {MAX_HITS:,} chunks")
        if self._degraded:
            notes.append(f"{len(self._degraded)} searches did less than they should have: {self._degraded[0]}")
        if self._unmeasured:
            notes.append(f"{self._unmeasured} questions found chunks of unknown place: their span metrics are not measured")
        return notes

    def _retrieve(self, text: str, judged: Judged) -> _Found:
        """Search until the largest cutoff is filled, or there is no more."""
        name = _chunk_name if judged.by_chunk else self._judge.name
        wanted = self._filled if judged.by_chunk else min(self._filled, self._judge.documents)
        took: float | None = None
        k = self.depth
        while True:
            began = time.perf_counter()
            result = self._pipeline.search(text, k=k)
            took = (time.perf_counter() - began) * 1000 if took is None else took
            best: dict[str, float] = {}
            for item in result.nodes:
                key = name(item.node)
                best.setdefault(self._names.setdefault(key, key), float(item.score or 0.0))
            filled = len(best) >= wanted or len(result.nodes) < k
            if filled or k == MAX_HITS:
                names = list(best)[: self.depth]
                scores = strictly_descending([best[key] for key in names])
                return _Found(result, list(zip(names, scores, strict=True)), took, filled)
            k = min(2 * k, MAX_HITS)

    def _spans(self, result: SearchResult, judged: Judged) -> dict[Metric, float]:
        """The span metrics; nothing where no passage is known, or a chunk does not know its place."""
        found: dict[Metric, float] = {}
        for metric in self._metrics:
            if metric.of_spans and judged.ranges:
                nodes = [item.node for item in result.nodes[: metric.cutoff]]
                places = [(node.ref_doc_id or "", _range(node)) for node in nodes]
                known = [(document, place) for document, place in places if place is not None]
                if len(known) == len(places):
                    found[metric] = getattr(overlap(known, judged.ranges), metric.name.removeprefix("span_"))
        missing = [metric for metric in self._metrics if metric.of_spans and judged.ranges and metric not in found]
        self._unmeasured += bool(missing)
        return found

    def _keep(self, result: QueryResult, found: _Found) -> None:
        self.results.append(result)
        trace = found.result.trace
        self._generations.add(trace.generation)
        self._short += not found.is_filled
        if trace.degraded:
            self._degraded.append(next(stage.detail for stage in trace.stages if stage.status == "degraded"))
        value = result.metrics[str(self._metrics[0])]
        if value is not None and any(grade > 0 for grade in result.grades.values()):
            # a heap whose smallest entry is the best of the worst; of equals the first asked stay
            entry = (-value, -len(self.results), Example(result, found.result))
            (heapq.heappush if len(self._worst) < WORST else heapq.heappushpop)(self._worst, entry)


def _chunk_name(node: BaseNode) -> str:
    return str(node.node_id)


def _range(node: BaseNode) -> tuple[int, int] | None:
    start, end = getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)
    return (start, end) if start is not None and end is not None else None
