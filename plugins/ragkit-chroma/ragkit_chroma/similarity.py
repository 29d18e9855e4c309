"""Chroma's distances as similarities."""

from __future__ import annotations

from collections.abc import Sequence

SPACES = {"cosine": "cosine", "dot": "ip", "l2": "l2"}
"""What Chroma calls each metric. Its distances are 1 − cosine, 1 − inner product, and the squared Euclidean distance."""


def undone(metric: str, distances: Sequence[float]) -> list[float]:
    """The cosine, the inner product, or minus the squared distance, of each of Chroma's distances."""
    if metric == "l2":
        return [-distance for distance in distances]
    return [1.0 - distance for distance in distances]
