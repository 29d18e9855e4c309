"""The measures, by the names that people write: `ndcg@10`, `recall@100`. trec_eval's own code computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ragkit.errors import ConfigError, Problem, RagkitError
from ragkit.query.run import MAX_HITS

DEFAULT = ("ndcg@10", "recall@10", "recall@100", "precision@10", "mrr@10", "map@100")
PASSAGES = ("span_recall@5", "span_precision@5", "span_iou@5")
"""What is measured besides where a dataset has passages; five chunks, as in the study that these measures come from."""

_MEASURES = {"ndcg": "ndcg_cut", "recall": "recall", "precision": "P", "map": "map_cut"}
_RECIPROCAL = "mrr"
_SPANS = ("span_recall", "span_precision", "span_iou")
_LARGEST = 1e30
_NAMES = (*_MEASURES, _RECIPROCAL, *_SPANS)


@dataclass(frozen=True)
class Metric:
    """A measure of the first `cutoff` hits."""

    name: str
    cutoff: int

    def __str__(self) -> str:
        return f"{self.name}@{self.cutoff}"

    @property
    def of_spans(self) -> bool:
        """Whether it looks at characters of chunks; the others look at documents."""
        return self.name in _SPANS


def parse(written: Sequence[str]) -> tuple[Metric, ...]:
    """Read `ndcg@10` and the like. Raises `ConfigError` for a name or cutoff that is none."""
    found: dict[Metric, None] = {}
    problems = []
    for text in written:
        name, _, cutoff = text.strip().lower().partition("@")
        if name not in _NAMES:
            problems.append(Problem("", f"--metric {text}: there is no metric {name!r}"))
        elif not cutoff.isdecimal() or not 1 <= int(cutoff) <= MAX_HITS:
            problems.append(Problem("", f"--metric {text}: the cutoff must be a whole number from 1 to {MAX_HITS:,}"))
        else:
            found[Metric(name, int(cutoff))] = None
    if problems:
        raise ConfigError(problems, cure=f"a metric is one of {', '.join(_NAMES)}, then @ and a cutoff: ndcg@10")
    return tuple(found)


def strictly_descending(scores: Sequence[float]) -> list[float]:
    """Scores of a ranking such that sorting by them gives that ranking: trec_eval breaks ties by the documents' names.

    A score that is not below the one before it becomes the next smaller single-precision number, which is what
    trec_eval computes with.
    """
    found: list[float] = []
    for value in np.clip(np.nan_to_num(np.asarray(scores, dtype=np.float64)), -_LARGEST, _LARGEST).tolist():
        single = np.float32(value)
        if found and not single < np.float32(found[-1]):
            single = np.nextafter(np.float32(found[-1]), np.float32(-np.inf))
        found.append(float(single))
    return found


def score(
    metrics: Sequence[Metric], judged: Mapping[str, Mapping[str, int]], runs: Mapping[str, Sequence[tuple[str, float]]]
) -> dict[str, dict[Metric, float]]:
    """Each metric of each judged query.

    `judged` has grades by query and document, `runs` the documents of each query, best first, with strictly descending
    scores. A query without hits scores 0, and so does one without a relevant document, as in trec_eval. The gain of
    nDCG is linear.
    """
    library = require_library()
    values: dict[str, dict[Metric, float]] = {query: {} for query in judged}
    plain = [metric for metric in metrics if metric.name in _MEASURES]
    if plain:
        names = {metric: f"{_MEASURES[metric.name]}_{metric.cutoff}" for metric in plain}
        found = _evaluate(library, judged, runs, {f"{_MEASURES[metric.name]}.{metric.cutoff}" for metric in plain})
        for query in judged:
            values[query] |= {metric: found.get(query, {}).get(names[metric], 0.0) for metric in plain}
    for metric in metrics:
        if metric.name == _RECIPROCAL:
            heads = {query: ranking[: metric.cutoff] for query, ranking in runs.items()}
            found = _evaluate(library, judged, heads, {"recip_rank"})
            for query in judged:
                values[query][metric] = found.get(query, {}).get("recip_rank", 0.0)
    return values


def require_library() -> ModuleType:
    """The library that measures. Raises `RagkitError` with the command that installs it."""
    try:
        import pytrec_eval
    except ImportError as error:
        raise RagkitError("evaluating needs pytrec_eval, which is not installed", cure="pip install 'ragkit[eval]'") from error
    module: ModuleType = pytrec_eval
    return module


def _evaluate(
    library: Any,
    judged: Mapping[str, Mapping[str, int]],
    runs: Mapping[str, Sequence[tuple[str, float]]],
    measures: set[str],
) -> dict[str, dict[str, float]]:
    grades = {query: dict(documents) for query, documents in judged.items()}
    answered = {query: dict(runs[query]) for query in grades if runs.get(query)}
    found: dict[str, dict[str, float]] = library.RelevanceEvaluator(grades, measures).evaluate(answered)
    return found
