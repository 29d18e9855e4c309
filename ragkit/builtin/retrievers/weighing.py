"""How much the first leg weighs for one question: the configured weight, moved by what the question and its hits look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEFAULT_ALPHA = 0.6
_SLOPE, _USUAL = 0.22, 3.64
_LEAST, _MOST = -0.2, 0.4
ENOUGH = 100
"""So many candidates at least: the best of n scores exceeds their mean by √(n − 1) deviations at most, so few say little."""

_QUOTED = re.compile(r"\"[^\"]{2,}\"|“[^”]{2,}”|«[^»]{2,}»|`[^`]{2,}`")
_CODE = re.compile(
    r"\b(?:[A-Za-z]+_\w+|[a-z]+[A-Z]\w*|[A-Z]\w*(?:::\w+)+|\w+\(\)"  # names: snake_case, camelCase, Class::member, call()
    r"|v?\d+\.\d+(?:\.\d+)*|[A-Z]{2,}[- ]?\d+|0x[0-9a-fA-F]+)"  # versions and decimals, RFC 2616, 0x1F
)
_OPEN = re.compile(r"^\s*(?:how|why|what|explain|describe)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Weight:
    """The weight of the first leg, from 0 to 1, and in words what moved it."""

    alpha: float
    reasons: tuple[str, ...] = ()

    def moved(self, by: float, why: str) -> Weight:
        """Moved by so much at a weight of 0.4 to 0.6, and by less towards 0 and 1, which stay what they are."""
        room = min(self.alpha, 1 - self.alpha) / 0.4
        alpha = min(1.0, max(0.0, self.alpha + by * min(room, 1.0)))
        return Weight(alpha, (*self.reasons, why))


def from_question(text: str) -> Weight:
    """The weight under `alpha: auto`, before anything was searched: words that are meant literally move it towards keywords."""
    weight = Weight(DEFAULT_ALPHA)
    for by, why in _rules(text):
        weight = weight.moved(by, why)
    return weight


def _rules(text: str) -> Iterator[tuple[float, str]]:
    quoted, code = _QUOTED.search(text), _CODE.search(text)
    if quoted:
        yield -0.2, f"{quoted[0]} is quoted"
    if code:
        yield -0.1, f"{code[0]!r} looks like a name, a version or a code"
    if not quoted and not code and _OPEN.match(text):
        yield 0.05, "an open question"


def peak(scores: NDArray[np.float64]) -> float:
    """By how many standard deviations the best of (n,) scores exceeds their mean; 0 where all are equal."""
    deviation = float(scores.std()) if len(scores) else 0.0
    return (float(scores.max()) - float(scores.mean())) / deviation if deviation > 1e-12 else 0.0


def by_peak(weight: Weight, found: float, leg: str) -> Weight:
    """Moved by how far the best hit of the keyword leg stands out among the candidates (`peak`).

    A best hit that stands out has the question's rare words; one that barely does shares only common ones with it, and BM25 can
    tell the candidates apart no better than chance. The slope was chosen on SciFact's train split, half of SQuAD's articles,
    CoSQA dev and XQuAD's German and Chinese: docs/benchmarks.md.
    """
    by = min(_MOST, max(_LEAST, _SLOPE * (_USUAL - found)))
    return weight.moved(by, f"the best hit of {leg} stands out by {found:.1f} standard deviations")
