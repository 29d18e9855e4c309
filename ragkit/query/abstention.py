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

_BOTH = (-12.16, 13.43, 10.70)
_SIMILARITY = (-9.35, 15.75)
_COVERAGE = (-6.27, 15.92)
"""Logistic regressions (intercept, then weights): the probability that a hit bears on the question.

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
    if evidence.similarity is not None and evidence.coverage is not None:
        logit = _BOTH[0] + _BOTH[1] * evidence.similarity + _BOTH[2] * evidence.coverage
    elif evidence.similarity is not None:
        logit = _SIMILARITY[0] + _SIMILARITY[1] * evidence.similarity
    elif evidence.coverage is not None:
        logit = _COVERAGE[0] + _COVERAGE[1] * evidence.coverage
    else:
        return None
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


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
