"""The similarity of vectors, as every store has to report it: more is more alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

METRICS = ("cosine", "dot", "l2")
"""The cosine, the inner product, and minus the squared Euclidean distance."""


def similarities(metric: str, vector: Sequence[float], rows: Any) -> list[float]:
    """The similarity of `vector` (dim) to each of `rows` (n, dim), computed exactly; of a zero vector the cosine is 0.

    Equal rows get equal values, whatever their place: a product of matrices would round them differently.
    """
    import numpy as np

    one, many = np.asarray(vector, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    if metric == "l2":
        return [float(value) for value in -((many - one) ** 2).sum(axis=1)]
    products = (many * one).sum(axis=1)
    if metric == "cosine":
        lengths = np.linalg.norm(many, axis=1) * np.linalg.norm(one)
        products = products / np.where(lengths > 0, lengths, 1.0)
    return [float(value) for value in products]
