"""Looking words up in sorted arrays, and the compiled loops for large collections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from heapq import heappush, heapreplace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

COMPILED_FROM = 300_000
"""From how many texts on the compiled loops pay: loading them takes 0.5 s (2 s the first time ever, then they are cached on
disk), and at 120,000 texts of 80 words numpy answers nearly as fast."""
_MOST_IN_A_HEAP = 1_000


def words(values: Sequence[bytes]) -> Array:
    """Sorted, distinct byte strings as an array of fixed width, which can be mapped into memory and searched."""
    return np.array(values, dtype=f"S{max(map(len, values), default=1) or 1}")


def lookup(known: Array, values: Sequence[str]) -> Array:
    """The position of each of `values` in the sorted `known`, -1 where it is missing; int64 (n)."""
    found = np.full(len(values), -1, dtype=np.int64)
    keys = [value.encode("utf-8", "surrogatepass") for value in values]
    # A longer key cannot be there, and would make numpy widen, that is copy, the whole array.
    fitting = [i for i, key in enumerate(keys) if 0 < len(key) <= known.dtype.itemsize]
    if fitting and len(known):
        wanted = np.array([keys[i] for i in fitting], dtype=known.dtype)
        places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        found[fitting] = np.where(known[places] == wanted, places, -1)
    return found


def scorer(count: int) -> Callable[..., Array] | None:
    """bm25s' scorer compiled by numba, for a collection that is large enough for it."""
    return _compiled_scorer() if count >= COMPILED_FROM else None


def highest(scores: Array, k: int) -> Array | None:
    """The rows of the `k` highest scores above 0, in any order, of equal ones those that come first; int64.

    None where that is better done otherwise: for few scores, or a large `k`.
    """
    return _compiled_highest()(scores, k) if len(scores) >= COMPILED_FROM and 0 < k <= _MOST_IN_A_HEAP else None


@cache
def _compiled_scorer() -> Callable[..., Array]:
    import numba
    from bm25s.scoring import _compute_relevance_from_scores_jit_ready

    function: Callable[..., Array] = numba.njit(cache=True, nogil=True)(_compute_relevance_from_scores_jit_ready)
    return function


@cache
def _compiled_highest() -> Callable[[Array, int], Array]:
    import numba

    function: Callable[[Array, int], Array] = numba.njit(cache=True, nogil=True)(_highest)
    return function


def _highest(scores: Array, k: int) -> Array:
    """One pass with a heap, whose first is the worst of the best: the lowest score, of these the last row."""
    heap = [(scores[0], 0) for _ in range(0)]
    least = scores.dtype.type(0)
    for row in range(len(scores)):
        if scores[row] > least:
            if len(heap) < k:
                heappush(heap, (scores[row], -row))
            else:
                heapreplace(heap, (scores[row], -row))
            if len(heap) == k:
                least = heap[0][0]
    rows = np.empty(len(heap), dtype=np.int64)
    for place in range(len(heap)):
        rows[place] = -heap[place][1]
    return rows
