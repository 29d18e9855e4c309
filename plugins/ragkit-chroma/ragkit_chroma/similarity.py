"""Chroma's distances as similarities, and the same from vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

SPACES = {"cosine": "cosine", "dot": "ip", "l2": "l2"}
"""What Chroma calls each metric. Its distances are 1 − cosine, 1 − inner product, and the squared Euclidean distance."""


def similarity(metric: str, distance: float) -> float:
    """The cosine, the inner product, or minus the squared distance."""
    return -float(distance) if metric == "l2" else 1.0 - float(distance)


def exact(metric: str, vector: Sequence[float], rows: Any) -> list[float]:
    """The similarity of `vector` (dim) to each of `rows` (n, dim)."""
    one, many = np.asarray(vector, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    if metric == "l2":
        return [float(value) for value in -((many - one) ** 2).sum(axis=1)]
    products = many @ one
    if metric == "cosine":
        lengths = np.linalg.norm(many, axis=1) * np.linalg.norm(one)
        products = products / np.where(lengths > 0, lengths, 1.0)
    return [float(value) for value in products]
