"""Measuring retrieval: datasets with judgments, metrics with intervals, comparisons, reports."""

from __future__ import annotations

from ragkit.evaluate.comparison import Change, Comparison, Difference, against, compare, read_baseline
from ragkit.evaluate.datasets import Dataset, Query, Relevant, load
from ragkit.evaluate.results import Estimate, Evaluation, Example, Latency, QueryResult
from ragkit.evaluate.running import evaluate
from ragkit.evaluate.saving import save

__all__ = [
    "Change",
    "Comparison",
    "Dataset",
    "Difference",
    "Estimate",
    "Evaluation",
    "Example",
    "Latency",
    "Query",
    "QueryResult",
    "Relevant",
    "against",
    "compare",
    "evaluate",
    "load",
    "read_baseline",
    "save",
]
