"""Looking words up in sorted arrays, and the compiled scorer for large collections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

COMPILED_FROM = 300_000
"""From how many texts on the compiled scorer pays: loading it takes 0.3 s (0.9 s the first time ever, then it is cached on
disk), and at 120,000 texts of 80 words numpy answers nearly as fast."""


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
    return _compiled() if count >= COMPILED_FROM else None


@cache
def _compiled() -> Callable[..., Array]:
    import numba
    from bm25s.scoring import _compute_relevance_from_scores_jit_ready

    function: Callable[..., Array] = numba.njit(cache=True, nogil=True)(_compute_relevance_from_scores_jit_ready)
    return function
