"""Fusing the scores of several legs: pure functions on arrays.

A row is a leg, a column a candidate; NaN is a score that the leg cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def zscore(scores: Scores) -> Scores:
    """(n,) scores in standard deviations from their mean; all 0 where they are equal.

    The standard score, fused by a weighted sum as in Wu, Crestani and Bi, "Evaluating score normalization methods in
    data fusion" (AIRS 2006).
    """
    deviation = scores.std()
    return (scores - scores.mean()) / deviation if deviation > 1e-12 else np.zeros_like(scores)


def minmax(scores: Scores, floor: float | None = None) -> Scores:
    """(n,) scores mapped so that the best is 1 and the lowest, or `floor`, is 0; all 0 where they are equal.

    With the theoretical minimum as the floor this is TMM of Bruch, Gai and Ingber, "An analysis of fusion functions for
    hybrid retrieval" (TOIS 2023), section 4.
    """
    low = scores.min() if floor is None else min(floor, float(scores.min()))
    span = scores.max() - low
    return (scores - low) / span if span > 1e-12 else np.zeros_like(scores)


def fill(scores: Scores) -> Scores:
    """(n,) scores with every NaN replaced by the lowest known one; all 0 where none is known."""
    missing = np.isnan(scores)
    if not missing.any():
        return scores
    lowest = 0.0 if missing.all() else float(np.nanmin(scores))
    return np.where(missing, lowest, scores)


def fuse(scores: Sequence[Scores], weights: Sequence[float], normaliser: str, floors: Sequence[float | None]) -> Scores:
    """The convex combination of the legs' normalised scores, one value per candidate.

    `scores` has one (n,) array per leg, `weights` are at least 0, `floors` are the legs' lowest possible scores.
    """
    total = np.zeros_like(scores[0])
    for row, weight, floor in zip(scores, weights, floors, strict=True):
        known = fill(row)
        total += weight * (zscore(known) if normaliser == "zscore" else minmax(known, floor))
    return total


def order(fused: Scores, first_ranks: Sequence[int], ids: Sequence[str]) -> NDArray[np.intp]:
    """The candidates' indices, best first. Ties go to the better rank in the first leg, then to the smaller id.

    Scores that differ by rounding alone (1e-12 of a unit) are ties.
    """
    return np.lexsort((np.asarray(ids), np.asarray(first_ranks), -np.round(fused, 12)))
