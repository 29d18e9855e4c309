"""Maximal marginal relevance: hits that are relevant and not all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def mmr(
    ids: Sequence[str], scores: Sequence[float], vectors: Mapping[str, Sequence[float]], diversity: float, k: int
) -> list[str]:
    """The `k` ids that maximal marginal relevance picks from `ids`, in the order in which it picks them; see `picks`."""
    return [ids[place] for place, _ in picks(ids, scores, vectors, diversity, k)]


def picks(
    ids: Sequence[str], scores: Sequence[float], vectors: Mapping[str, Sequence[float]], diversity: float, k: int
) -> list[tuple[int, float]]:
    """The places in `ids` of the `k` that maximal marginal relevance picks, in that order, each with its marginal relevance.

    Each step takes the candidate with the highest (1 - diversity)·relevance - diversity·redundancy: relevance is its score,
    mapped so that the best of `scores` is 1 and the worst 0 (1 for all where they differ by 1e-12 at most), redundancy the
    highest cosine with what was taken, at least 0. That value, from 1 to -1, is the marginal relevance; it never rises from
    one pick to the next. Carbonell and Goldstein, "The use of MMR, diversity-based reranking" (SIGIR 1998), where redundancy
    may be below 0. `diversity` is from 0 (the order of the scores) to 1; an id without a vector, or with one that is not
    finite, is like no other. Ties go to the earlier id.
    """
    if not ids:
        return []
    relevance = np.asarray(scores, dtype=np.float64)
    span = relevance.max() - relevance.min()
    relevance = (relevance - relevance.min()) / span if span > 1e-12 else np.ones_like(relevance)
    rows = _unit(ids, vectors)
    redundancy = np.zeros(len(ids))
    left = np.ones(len(ids), dtype=bool)
    taken: list[tuple[int, float]] = []
    while len(taken) < min(k, len(ids)):
        gain = (1 - diversity) * relevance - diversity * redundancy
        best = int(np.argmax(np.where(left, gain, -np.inf)))
        taken.append((best, float(gain[best])))
        left[best] = False
        redundancy = np.maximum(redundancy, rows @ rows[best])
    return taken


def _unit(ids: Sequence[str], vectors: Mapping[str, Sequence[float]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The vectors with length 1 as rows (n, dim); zeros where there is none."""
    size = len(next(iter(vectors.values()), ()))
    rows = np.zeros((len(ids), max(size, 1)))
    for place, one in enumerate(ids):
        if one in vectors:
            vector = np.asarray(vectors[one], dtype=np.float64)
            with np.errstate(over="ignore"):
                length = float(np.linalg.norm(vector))
            if np.isfinite(length):
                rows[place] = vector / max(length, 1e-12)
    return rows
