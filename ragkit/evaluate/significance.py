"""How sure a mean is, and whether two differ: bootstrap intervals and a paired randomisation test, seeded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
TEST = "paired randomisation test, two-sided"
INTERVAL = "percentile bootstrap over the queries"

_SEED = 20_250_711
_CELLS_AT_ONCE = 4_000_000

Array = npt.NDArray[np.float64]


def interval(values: Array) -> tuple[float, float] | None:
    """The 95 % interval of the mean of `values` (n,) by the percentile bootstrap (Efron and Tibshirani 1993, chapter 13).

    None for fewer than two values, of whose spread nothing is known.
    """
    if len(values) < 2:
        return None
    means = np.concatenate([_bootstrap(values, rows, generator) for rows, generator in _batches(len(values))])
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def p_value(differences: Array) -> float | None:
    """How often a mean as far from 0 as that of `differences` (n,) would come about if the two systems were alike.

    Fisher's randomisation test with random signs (Smucker, Allan and Carterette, CIKM 2007); the observed assignment counts
    as one of them, so the result is never 0. None for fewer than two differences.
    """
    if len(differences) < 2:
        return None
    scale = float(np.abs(differences).max())
    if scale == 0:
        return 1.0
    values = differences / scale
    observed = abs(float(values.sum()))
    # sums of the same numbers in another order differ in their last digits
    bound = observed - 1e-9 * len(values)
    extreme = sum(int((np.abs(_flip(values, rows, generator)) >= bound).sum()) for rows, generator in _batches(len(values)))
    return (extreme + 1) / (RESAMPLES + 1)


def _bootstrap(values: Array, rows: int, generator: np.random.Generator) -> Array:
    chosen = generator.integers(0, len(values), size=(rows, len(values)), dtype=np.int32)
    means: Array = values[chosen].mean(axis=1)
    return means


def _flip(values: Array, rows: int, generator: np.random.Generator) -> Array:
    positive = generator.integers(0, 2, size=(rows, len(values)), dtype=np.int8)
    sums: Array = 2.0 * (positive @ values) - values.sum()
    return sums


def _batches(count: int) -> Iterator[tuple[int, np.random.Generator]]:
    """How many resamples to draw at once, so that memory stays bounded however many queries there are."""
    generator = np.random.default_rng(_SEED)
    at_once = max(1, _CELLS_AT_ONCE // count)
    for done in range(0, RESAMPLES, at_once):
        yield min(at_once, RESAMPLES - done), generator
