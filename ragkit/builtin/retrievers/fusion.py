"""Fusing the scores of several legs: pure functions on arrays.

A row is a leg, a column a candidate; NaN is a score that the leg cannot tell. Means, deviations and bounds are those of
`among`, the scores of so many candidates for every question; without it, of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def zscore(scores: Scores, among: Scores | None = None) -> Scores:
    """(n,) scores in standard deviations from their mean; all 0 where they are equal.

    The standard score, fused by a weighted sum as in Wu, Crestani and Bi, "Evaluating score normalization methods in
    data fusion" (AIRS 2006).
    """
    sample = scores if among is None else among
    deviation = sample.std()
    return (scores - sample.mean()) / deviation if deviation > 1e-12 else np.zeros_like(scores)


def minmax(scores: Scores, floor: float | None = None, among: Scores | None = None) -> Scores:
    """(n,) scores mapped so that the best is 1 and the lowest, or `floor`, is 0; all 0 where they are equal.

    With the theoretical minimum as the floor this is TMM of Bruch, Gai and Ingber, "An analysis of fusion functions for
    hybrid retrieval" (TOIS 2023), section 4.
    """
    sample = scores if among is None else among
    low = sample.min() if floor is None else min(floor, float(sample.min()))
    span = sample.max() - low
    return (scores - low) / span if span > 1e-12 else np.zeros_like(scores)


def fill(scores: Scores) -> Scores:
    """(n,) scores with every NaN replaced by the lowest known one; all 0 where none is known."""
    missing = np.isnan(scores)
    if not missing.any():
        return scores
    lowest = 0.0 if missing.all() else float(np.nanmin(scores))
    return np.where(missing, lowest, scores)


def distribution(scores: Scores, among: Scores | None = None) -> Scores:
    """(n,) scores on the scale from three standard deviations below their mean (0) to three above (1), and no further.

    Distribution-based score fusion (M. Mazzeschi, 2023), as Qdrant and LlamaIndex have it.
    """
    sample = scores if among is None else among
    deviation = sample.std()
    if deviation <= 1e-12:
        return np.zeros_like(scores)
    scaled: Scores = (scores - sample.mean()) / (6 * deviation) + 0.5
    return scaled.clip(0.0, 1.0)


def theoretical(scores: Scores, bounds: tuple[float, float]) -> Scores:
    """(n,) scores mapped so that the highest possible one is 1 and the lowest 0, whatever was found.

    Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval" (TOIS 2023), section 4, with both bounds.
    """
    low, high = bounds
    return (scores - low) / (high - low) if high - low > 1e-12 else np.zeros_like(scores)


def reciprocal_ranks(scores: Scores, k: int, floor: float | None = None) -> Scores:
    """1 / (k + rank) for each of (n,) scores; equal scores share the better rank, and what is at its `floor` gets 0.

    Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet" (SIGIR 2009), where k is 60.
    """
    if not len(scores):
        return scores
    ranks = len(scores) - np.searchsorted(np.sort(scores), scores, side="right") + 1
    return np.where(scores > (-np.inf if floor is None else floor), 1.0 / (k + ranks), 0.0)


def combine(rows: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """The weighted sum of the legs' normalised scores, one value per candidate; one (n,) array and one weight per leg."""
    total = np.zeros_like(rows[0])
    for row, weight in zip(rows, weights, strict=True):
        total += weight * row
    return total


def order(fused: Scores, first_ranks: Sequence[int], ids: Sequence[str]) -> NDArray[np.intp]:
    """The candidates' indices, best first. Ties go to the better rank in the first leg, then to the smaller id.

    Scores that differ by rounding alone (1e-12 of a unit) are ties.
    """
    return np.lexsort((np.asarray(ids), np.asarray(first_ranks), -np.round(fused, 12)))
