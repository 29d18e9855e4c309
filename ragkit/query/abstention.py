"""When the documents do not answer: a decision on raw evidence, never on fused scores.

A fused score says which chunk is best, not whether it is any good: the best of a hundred wrong chunks gets the top
score. So the decision looks at how similar the nearest hit is to the question and how much of the question's rare words
a hit holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ragkit.components import WeighsTerms

ABSTAIN_BELOW = 0.5

_BOTH, _SIMILARITY, _COVERAGE = (-12.16, 13.43, 10.70), (-9.35, 15.75, 0.0), (-6.27, 0.0, 15.92)
"""Logistic regressions (intercept, weights of similarity and coverage): the probability that a hit bears on the question.

Fitted with MiniLM-L6 and BM25 on chunks of about 900 characters (`tests/benchmarks/abstention.py --fit` fits them anew on
ragkit's own), on pairs of collections and questions that match (SQuAD,
SciFact train, CoSQA, Chroma's chunking questions, each on its own documents) and that do not (the same on the
others' documents), every pair weighing the same. Nothing of what the benchmark reports was used.
"""


@dataclass(frozen=True)
class Evidence:
    """What the hits bring to the question; None is what cannot be told.

    `similarity` is the best hit's cosine on the model's scale (0 unrelated, 1 a question and its answer; see
    `yardstick`); `coverage` the best hit's share of the question's terms, weighed by rarity, from 0 to 1.
    """

    similarity: float | None
    coverage: float | None

    def __str__(self) -> str:
        known = (("similarity", self.similarity), ("coverage", self.coverage))
        return ", ".join(f"{name} {value:.2f}" for name, value in known if value is not None) or "no evidence"


def confidence(evidence: Evidence) -> float | None:
    """The probability from 0 to 1 that the hits bear on the question, or None without any evidence."""
    similarity, share = evidence.similarity, evidence.coverage
    if similarity is None and share is None:
        return None
    intercept, *weights = _COVERAGE if similarity is None else _SIMILARITY if share is None else _BOTH
    logit = intercept + weights[0] * (similarity or 0.0) + weights[1] * (share or 0.0)
    return (1 + math.tanh(logit / 2)) / 2  # the logistic function, which cannot overflow this way


def abstains(evidence: Evidence, below: float = ABSTAIN_BELOW) -> bool:
    """Whether to say that the documents do not answer. Without any evidence the question is answered."""
    value = confidence(evidence)
    return value is not None and value < below


def weigh(terms: Sequence[str], weights: WeighsTerms) -> dict[str, float]:
    """Each distinct term with its inverse document frequency, at least 0."""
    distinct = list(dict.fromkeys(terms))
    return {term: max(idf, 0.0) for term, idf in zip(distinct, weights.idf(distinct), strict=True)}


def coverage(question: Mapping[str, float], terms: Iterable[str]) -> float | None:
    """The share of the question's weighed terms that are among `terms`, from 0 to 1; None for a question without any."""
    total = sum(question.values())
    if total <= 0:
        return None
    present = set(terms)
    return sum(weight for term, weight in question.items() if term in present) / total
